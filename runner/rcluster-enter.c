/*
 * rcluster-enter: takes root's place for a Run on the `local` backend, and then gives root up for good.
 *
 * Only root can put a process into a cgroup and a network namespace; nothing of a Run may run as root. So this program
 * does these few things and then becomes COMMAND (which is rcluster-run) as an ordinary user, in this order:
 *
 *   1. --network slirp4netns: forks what will be slirp4netns. It stays in the host's network namespace and cgroups, is
 *      a session of its own and nobody's child (a double fork), so that signals to the Run's groups don't reach it, and
 *      in a mount namespace from which nothing comes back: its sandbox detaches mounts.
 *   2. Writes its pid to cgroup.procs of each --cgroup (v1 and v2 alike), and sets --oom-score-adj.
 *   3. --network none, slirp4netns: a new network namespace with the loopback up; waits until slirp4netns is ready.
 *   4. Gives up groups, gid, uid; sets no_new_privs and umask 022; makes sure that root can't be had again.
 *   5. Executes COMMAND. It inherits the write end of slirp4netns' exit pipe: when the last holder is gone, however it
 *      ended, slirp4netns ends too. rcluster-run does not pass it on to the script.
 *
 * Any failure: a sentence on stderr, exit status 125, nothing was run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NEVER_RAN = 125, CGROUPS = 16, READY_MS = 10000 };

enum network { NETWORK_HOST, NETWORK_NONE, NETWORK_SLIRP };

struct options {
    const char *cgroups[CGROUPS];
    int cgroup_count;
    enum network network;
    const char *slirp;
    const char *oom_score_adj; /* NULL: left alone */
    uid_t uid;
    gid_t gid;
    char **command;
};

/* What connects us with the future slirp4netns. */
struct slirp {
    int go[2];     /* we write a byte when the namespace is there; closing it unwritten calls it off */
    int ready[2];  /* slirp4netns writes a byte when the network works */
    int exit[2];   /* slirp4netns ends when the write end is closed everywhere */
    int errors[2]; /* its stdout and stderr, shown if it fails */
    pid_t *pid;    /* shared memory: it is not our child */
};

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("rcluster-enter: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_NEVER_RAN);
}

/* ---------------------------------------------------------------- slirp4netns */

static _Noreturn void become_slirp(const struct options *options, const struct slirp *slirp, pid_t target)
{
    char ready[24], exit_fd[24], path[64], go;
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    (void)setsid();
    (void)sigaction(SIGPIPE, &ignore, NULL); /* nobody reads its errors once it is ready */
    close(slirp->go[1]);
    close(slirp->exit[1]);
    if (read(slirp->go[0], &go, 1) != 1)
        _exit(EXIT_NEVER_RAN);
    /* slirp4netns' own sandbox detaches its copy of every mount, and where a mount is shared (all below
       /var/lib/docker, half of a systemd machine) the original would go with it. In a mount namespace that only
       listens nothing comes back. */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) {
        (void)dprintf(slirp->errors[1], "its mount namespace: %s\n", strerror(errno));
        _exit(EXIT_NEVER_RAN);
    }
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(slirp->errors[1], 1) < 0 || dup2(slirp->errors[1], 2) < 0)
        _exit(EXIT_NEVER_RAN);
    if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0 || fcntl(slirp->ready[1], F_SETFD, 0) != 0 ||
        fcntl(slirp->exit[0], F_SETFD, 0) != 0 || chdir("/") != 0)
        _exit(EXIT_NEVER_RAN);
    (void)snprintf(ready, sizeof ready, "--ready-fd=%d", slirp->ready[1]);
    (void)snprintf(exit_fd, sizeof exit_fd, "--exit-fd=%d", slirp->exit[0]);
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)target);
    (void)execlp(options->slirp, "slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox",
                 "--enable-seccomp", "--netns-type=path", ready, exit_fd, path, "tap0", (char *)NULL);
    (void)dprintf(2, "%s: %s\n", options->slirp, strerror(errno));
    _exit(EXIT_NEVER_RAN);
}

/* Forks it before we change cgroup and namespace. */
static void fork_slirp(const struct options *options, struct slirp *slirp)
{
    pid_t self = getpid(), middle;
    int status;

    slirp->pid = mmap(NULL, sizeof *slirp->pid, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slirp->pid == MAP_FAILED || pipe2(slirp->go, O_CLOEXEC) != 0 || pipe2(slirp->ready, O_CLOEXEC) != 0 ||
        pipe2(slirp->exit, O_CLOEXEC) != 0 || pipe2(slirp->errors, O_CLOEXEC | O_NONBLOCK) != 0)
        fail("cannot prepare slirp4netns: %s", strerror(errno));
    if ((middle = fork()) < 0)
        fail("cannot fork slirp4netns: %s", strerror(errno));
    if (middle == 0) {
        pid_t pid = fork();
        if (pid == 0)
            become_slirp(options, slirp, self);
        *slirp->pid = pid;
        _exit(pid < 0 ? 1 : 0);
    }
    if (waitpid(middle, &status, 0) != middle || status != 0)
        fail("cannot fork slirp4netns");
    close(slirp->go[0]);
    close(slirp->ready[1]);
    close(slirp->exit[0]);
    close(slirp->errors[1]);
}

static _Noreturn void slirp_failed(const struct slirp *slirp, const char *how)
{
    char text[1024];
    ssize_t n = read(slirp->errors[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    (void)kill(*slirp->pid, SIGKILL);
    fail("slirp4netns %s%s%s", how, text[0] != '\0' ? ": " : "", text);
}

static void start_slirp(struct slirp *slirp)
{
    struct pollfd ready = {.fd = slirp->ready[0], .events = POLLIN};
    char byte = '1';

    if (write(slirp->go[1], &byte, 1) != 1)
        slirp_failed(slirp, "was not there any more");
    int events = poll(&ready, 1, READY_MS);
    if (events == 0)
        slirp_failed(slirp, "was not ready within 10 s");
    if (events < 0 || read(slirp->ready[0], &byte, 1) != 1)
        slirp_failed(slirp, "failed");
    if (fcntl(slirp->exit[1], F_SETFD, 0) != 0)
        slirp_failed(slirp, "could not be tied to the command");
}

/* ---------------------------------------------------------------- cgroups, namespaces */

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t length = strlen(text);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length)
        fail("cannot write %s to %s: %s", text, path, strerror(errno));
    close(fd);
}

static void join_cgroups(const struct options *options)
{
    char path[PATH_MAX], pid[16];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    for (int i = 0; i < options->cgroup_count; i++) {
        if (snprintf(path, sizeof path, "%s/cgroup.procs", options->cgroups[i]) >= (int)sizeof path)
            fail("the cgroup's path is too long");
        write_text(path, pid);
    }
}

static void raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        fail("cannot look at the loopback: %s", strerror(errno));
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        fail("cannot raise the loopback: %s", strerror(errno));
    close(fd);
}

static void enter_network(const struct options *options, struct slirp *slirp)
{
    if (options->network == NETWORK_HOST)
        return;
    if (unshare(CLONE_NEWNET) != 0)
        fail("cannot make a network namespace: %s", strerror(errno));
    raise_loopback();
    if (options->network == NETWORK_SLIRP)
        start_slirp(slirp);
}

/* ---------------------------------------------------------------- giving root up */

static bool has_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &header, data) != 0)
        return true;
    return (data[0].effective | data[0].permitted | data[1].effective | data[1].permitted) != 0;
}

static void drop_root(const struct options *options)
{
    uid_t u[3];
    gid_t g[3];

    if (setgroups(0, NULL) != 0 || setresgid(options->gid, options->gid, options->gid) != 0 ||
        setresuid(options->uid, options->uid, options->uid) != 0)
        fail("cannot become %u:%u: %s", options->uid, options->gid, strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail("cannot set no_new_privs: %s", strerror(errno));
    if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0)
        fail("cannot tell who I am: %s", strerror(errno));
    for (int i = 0; i < 3; i++)
        if (u[i] != options->uid || g[i] != options->gid)
            fail("still somebody else after becoming %u:%u", options->uid, options->gid);
    if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setresgid((gid_t)-1, 0, (gid_t)-1) == 0 || getgroups(0, NULL) != 0 ||
        has_capabilities())
        fail("root could be had again");
    umask(022);
}

/* ---------------------------------------------------------------- options */

static _Noreturn void usage(const char *complaint, const char *subject)
{
    fail("%s%s\nusage: rcluster-enter [--cgroup DIR]... [--network none|host|slirp4netns] [--slirp4netns PATH]\n"
         "         [--oom-score-adj N] --user UID:GID -- COMMAND [ARG...]", complaint, subject);
}

static void parse_user(struct options *options, const char *text)
{
    char *end;
    errno = 0;
    unsigned long uid = strtoul(text, &end, 10);
    unsigned long gid = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
    if (text[strspn(text, "0123456789:")] != '\0' || *end != '\0' || errno != 0 || uid >= UINT_MAX || gid >= UINT_MAX)
        usage("not UID:GID: ", text);
    if (uid == 0 || gid == 0)
        usage("neither uid nor gid may be 0: ", text);
    options->uid = (uid_t)uid;
    options->gid = (gid_t)gid;
}

static enum network parse_network(const char *text)
{
    if (strcmp(text, "host") == 0)
        return NETWORK_HOST;
    if (strcmp(text, "none") == 0)
        return NETWORK_NONE;
    if (strcmp(text, "slirp4netns") == 0)
        return NETWORK_SLIRP;
    usage("not a kind of network: ", text);
}

static const char *parse_score(const char *text)
{
    char *end;
    long score = strtol(text, &end, 10);
    if (text[0] == '\0' || *end != '\0' || score < -1000 || score > 1000)
        usage("not a number from -1000 to 1000: ", text);
    return text;
}

static void set_option(struct options *options, int letter, const char *value)
{
    switch (letter) {
    case 'c':
        if (options->cgroup_count == CGROUPS)
            usage("too many --cgroup: ", value);
        options->cgroups[options->cgroup_count++] = value;
        return;
    case 'n': options->network = parse_network(value); return;
    case 's': options->slirp = value; return;
    case 'o': options->oom_score_adj = parse_score(value); return;
    case 'u': parse_user(options, value); return;
    default: usage("unknown option, or its value is missing", "");
    }
}

static void parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"cgroup", required_argument, NULL, 'c'},       {"network", required_argument, NULL, 'n'},
        {"slirp4netns", required_argument, NULL, 's'},  {"oom-score-adj", required_argument, NULL, 'o'},
        {"user", required_argument, NULL, 'u'},         {NULL, 0, NULL, 0},
    };
    int letter;
    *options = (struct options){.slirp = "slirp4netns"};
    while ((letter = getopt_long(argc, argv, "+", names, NULL)) != -1)
        set_option(options, letter, optarg);
    if (options->uid == 0)
        usage("--user is missing", "");
    if (optind >= argc)
        usage("no command", "");
    options->command = argv + optind;
}

int main(int argc, char **argv)
{
    struct options options;
    struct slirp slirp;
    struct sigaction action = {.sa_handler = SIG_DFL};

    parse_options(&options, argc, argv);
    if (geteuid() != 0)
        fail("this needs root");
    (void)sigaction(SIGCHLD, &action, NULL); /* an inherited "ignore" would hide the middle child's status */
    if (options.network == NETWORK_SLIRP)
        fork_slirp(&options, &slirp);
    join_cgroups(&options);
    if (options.oom_score_adj != NULL)
        write_text("/proc/self/oom_score_adj", options.oom_score_adj);
    enter_network(&options, &slirp);
    drop_root(&options);
    (void)execvp(options.command[0], options.command);
    fail("%s: %s", options.command[0], strerror(errno));
}
