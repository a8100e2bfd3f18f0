/*
 * rcluster-run: runs one command of a Run, writes its log, and records how it ended.
 *
 * It is process 1 of a container, or (backend `local`) the parent of bubblewrap. `--dir` names the attempt's folder, in
 * which the portal has put `permit`, an empty `log` and `exit` (1024 newlines, so that a full disk can't refuse the
 * record). The contract, in the order of events:
 *
 *   1. It claims the attempt by renaming `permit` to `started.<16 hex>`. Whoever can't, exits 125 having run and written
 *      nothing. So at most one container of an attempt ever does work.
 *   2. It overwrites `exit` with the first record, and starts the command in a process group of its own.
 *   3. It alone writes `log`. On a local disk each read is appended at once; on network storage it gathers up to 64 KiB
 *      or 100 ms and makes one O_APPEND|O_DSYNC write at a time (more in flight shows readers zeros). On a full disk it
 *      keeps the bytes, holds the command back through its pipe, and tries again. Past the cap: one marker line.
 *   4. It forwards signals to the command's group, enforces the time limit (TERM, grace, KILL) and reaps orphans.
 *   5. When the command has ended it drains the output (at most 2 s), kills what is left, and overwrites `exit` with the
 *      final record.
 *   6. Where the storage went away between the claim and the sandbox's own look at it, the command was never executed:
 *      it gives the permit back (through its open folder) and exits 125.
 *
 * Exit status: the command's own; 128 + signal; 124 the time limit ended it; 125 it never ran; 126, 127 it could not be
 * executed. It writes nowhere but in `--dir`. It is built static: any image will do, even one without a shell.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_TIME_LIMIT = 124,
    EXIT_NEVER_RAN = 125,
    EXIT_CANNOT_EXECUTE = 126,
    EXIT_NOT_FOUND = 127,
    RECORD_SIZE = 1024,
    CHUNK = 64 * 1024,       /* one read, and the largest write */
    PIPE = 256 * 1024,       /* between the command and us; 256 of them use up what the kernel grants one user unasked */
    LEAST_CHUNK = 512,
    OWN_WORDS = 1024,        /* room behind a full chunk for the runner's own lines */
    INFO_SIZE = 4096,        /* the most that is read from the sandbox's info fd */
    MEMORY_PEAKS = 8,
    MEMORY_STATS = 8,
    STAT_SIZE = 16 * 1024,   /* the most that is read of a --memory-stat file */
    OOM_COUNTS = 8,
};

/* Moments and spans are nanoseconds of CLOCK_MONOTONIC. */
typedef int64_t nanos;
#define MS ((nanos)1000000)
#define SECOND (1000 * MS)
#define NEVER INT64_MAX

static const nanos GATHER = 100 * MS;       /* network storage: the longest that a byte waits for company */
static const nanos BREATH = MS / 3;         /* after a read that emptied the pipe, until the next */
static const nanos FIRST_SAMPLE = 50 * MS;  /* of the memory in use; then after twice as long each time, up to */
static const nanos SAMPLE_EVERY = 1 * SECOND;
static const nanos RETRY = 200 * MS;        /* between two tries to write to a storage that refused */
static const nanos DRAIN = 2 * SECOND;      /* for output that comes after the command's end */
static const nanos CLEAR = 1 * SECOND;      /* for killed processes to go */
static const nanos CLEAR_TICK = 5 * MS;
static const nanos SETTLE = 5 * SECOND;     /* until then a sandbox may not have begun its command */
static const nanos RESEND = 10 * MS;
static const nanos STORAGE_HICCUP = 5 * SECOND; /* how long EIO and ESTALE are met with another try */

enum storage { STORAGE_AUTO, STORAGE_LOCAL, STORAGE_NETWORK };

struct options {
    const char *dir;
    nanos time_limit; /* NEVER: none */
    nanos grace;
    uint64_t log_cap; /* UINT64_MAX: none */
    const char *stdin_file;
    const char *workdir;
    int info_fd; /* -1: no sandbox */
    const char *memory_peak[MEMORY_PEAKS];
    int memory_peaks;
    const char *memory_stat[MEMORY_STATS];
    int memory_stats;
    const char *oom_count[OOM_COUNTS];
    int oom_counts;
    enum storage storage;
    nanos full_disk_wait;
    char **command;
};

struct log {
    int dir;
    int fd; /* -1 after a reopen that failed */
    bool network;
    size_t chunk;           /* the largest write: no more than network storage takes in one request */
    char bytes[CHUNK + OWN_WORDS];
    size_t start, end;      /* bytes[start, end) are not in the file yet */
    uint64_t base;          /* the file's size before our first byte */
    uint64_t cap;           /* of the command's output; the marker comes on top */
    uint64_t received;      /* output read from the command */
    uint64_t accepted;      /* of these, within the cap */
    uint64_t written;       /* bytes in the file, the runner's own lines included */
    bool marked;            /* the cap's marker was added */
    bool hasten;            /* don't gather any longer */
    nanos gathering_since;  /* NEVER: empty */
    nanos failing_since;    /* NEVER: the last write worked */
    nanos retry_at;
    nanos patience;
    int last_errno;
    int lost_errno; /* why the runner gave the log up; 0: it didn't */
};

/* RUNNING: the command lives. DRAINING: it is a zombie (which keeps its group's number ours) and the pipe may still hold
 * output. CLEARING: everything was killed; the last bytes are taken and the dead are reaped. */
enum phase { RUNNING, DRAINING, CLEARING };

struct run {
    struct options options;
    struct log log;
    int dir, record;
    char claimed[64]; /* what `permit` was renamed to */
    double started_at;
    enum phase phase;
    pid_t command; /* 0: fork failed */
    pid_t sandbox; /* the sandbox's first process, leader of the script's group; 0: not known */
    int signals, output, info, exec_error; /* read ends */
    char info_text[INFO_SIZE];
    size_t info_length;
    int exit_code, signal; /* of the command, -1 and 0 where there is none */
    int exec_errno;
    bool never_began; /* the storage was away before the command could be executed */
    bool timed_out;
    int terminated_by;
    bool hurry; /* grace is over: nothing is waited for any longer */
    bool output_dry, living_children;
    int unheard; /* a signal that came before there was a script in the sandbox */
    nanos settled_at, resend_at, time_limit_at, kill_at, drain_until, clear_until;
    nanos read_at; /* not before then, while the command runs */
    nanos sample_at, sample_after;
    uint64_t sampled; /* bytes of memory in use at a time at most, as far as anybody looked; 0: nobody could */
};

/* ---------------------------------------------------------------- small helpers */

static nanos monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (nanos)t.tv_sec * SECOND + t.tv_nsec;
}

static double wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A moment that lies `span` after `now`; a span of NEVER stays NEVER. */
static nanos after(nanos now, nanos span)
{
    return span > NEVER - now ? NEVER : now + span;
}

static nanos earlier(nanos a, nanos b)
{
    return a < b ? a : b;
}

static void wait_a_moment(nanos span)
{
    struct timespec t = {.tv_sec = (time_t)(span / SECOND), .tv_nsec = (long)(span % SECOND)};
    (void)ppoll(NULL, 0, &t, NULL);
}

static void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("rcluster-run: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The first bytes of a small file as text; false if there is nothing to read. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* ---------------------------------------------------------------- the attempt's files */

static bool is_network(int dir, enum storage asked)
{
    static const unsigned long magic[] = {
        0x6969,     /* NFS */       0x517B,     /* SMB */       0xFF534D42, /* CIFS */      0xFE534D42, /* SMB2 */
        0x65735546, /* FUSE */      0x00C36400, /* CEPH */      0x0BD00BD0, /* Lustre */    0x01021997, /* 9p */
        0x47504653, /* GPFS */      0x5346414F, /* AFS */       0x6B414653, /* kAFS */      0x19830326, /* BeeGFS */
        0xAAD7AAEA, /* PanFS */     0x20030528, /* OrangeFS */  0x01161970, /* GFS2 */      0x7461636F, /* OCFS2 */
        0x786F4256, /* vboxsf */    0x00C0FFEE, /* hostfs */
    };
    struct statfs fs;
    if (asked != STORAGE_AUTO)
        return asked == STORAGE_NETWORK;
    if (fstatfs(dir, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if ((uint32_t)fs.f_type == magic[i])
            return true;
    return false;
}

static int open_dir(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens a regular file of the attempt for writing, never through a link; -1 and errno otherwise. */
static int open_regular(int dir, const char *name, int flags)
{
    struct stat st;
    int fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | flags, 0644);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

/* A name that nobody else uses: PREFIX.<16 hex digits>. */
static bool unique_name(char *name, size_t size, const char *prefix)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return false;
    (void)snprintf(name, size, "%s.%016" PRIx64, prefix, number);
    return true;
}

/* Makes `exit` with its 1024 newlines under another name first: a runner that comes second must not blank the record. */
static int create_record(int dir)
{
    char name[64], blank[RECORD_SIZE];
    if (!unique_name(name, sizeof name, "exit"))
        return -1;
    int fd = open_regular(dir, name, O_CREAT | O_EXCL);
    if (fd < 0)
        return -1;
    memset(blank, '\n', sizeof blank);
    ssize_t n = pwrite(fd, blank, sizeof blank, 0);
    int error = n == (ssize_t)sizeof blank ? 0 : n < 0 ? errno : ENOSPC;
    if (error == 0 && linkat(dir, name, dir, "exit", 0) != 0 && errno != EEXIST)
        error = errno;
    close(fd);
    (void)unlinkat(dir, name, 0);
    errno = error;
    return error == 0 ? open_regular(dir, "exit", 0) : -1;
}

static int log_flags(bool network)
{
    return O_APPEND | (network ? O_DSYNC : 0);
}

/* Opens `exit` and `log` before the claim, so that an attempt which can't be recorded is not begun. A missing file is
 * created only where there is still a permit: who comes too late leaves nothing behind. */
static bool open_files(struct run *run)
{
    struct stat st;
    int flags = log_flags(run->log.network);
    bool permitted = fstatat(run->dir, "permit", &st, AT_SYMLINK_NOFOLLOW) == 0;

    run->record = open_regular(run->dir, "exit", 0);
    if (run->record < 0 && errno == ENOENT && permitted)
        run->record = create_record(run->dir);
    if (run->record < 0) {
        warn("cannot open the exit record: %s", strerror(errno));
        return false;
    }
    run->log.fd = open_regular(run->dir, "log", flags | (permitted ? O_CREAT : 0));
    if (run->log.fd < 0 || fstat(run->log.fd, &st) != 0) {
        warn("cannot open the log: %s", strerror(errno));
        return false;
    }
    run->log.base = (uint64_t)st.st_size;
    /* A mount with a small wsize would make several requests of one write, and they overtake each other. */
    run->log.chunk = CHUNK;
    if (run->log.network && st.st_blksize >= LEAST_CHUNK && st.st_blksize < CHUNK)
        run->log.chunk = (size_t)st.st_blksize;
    return true;
}

/* Is there a file of this name? Lists the folder first: NFS remembers names that were absent. */
static bool has_file(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list != NULL) {
        while (readdir(list) != NULL)
            ;
        closedir(list);
    } else if (fd >= 0) {
        close(fd);
    }
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        close(fd);
        return true;
    }
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The claim. A retransmitted rename on NFS may report ENOENT (and a failing server EIO) though it happened: the target's
 * name is ours alone, so its presence proves the claim. */
static bool claim(struct run *run)
{
    const char *target = run->claimed;
    nanos give_up_at = monotonic() + STORAGE_HICCUP;

    if (!unique_name(run->claimed, sizeof run->claimed, "started")) {
        warn("no random numbers: %s", strerror(errno));
        return false;
    }
    for (;;) {
        if (renameat(run->dir, "permit", run->dir, target) == 0)
            return true;
        int error = errno;
        if (has_file(run->dir, target))
            return true;
        if ((error != EIO && error != ESTALE) || monotonic() > give_up_at) {
            warn("no permit to start: %s", strerror(error));
            return false;
        }
        wait_a_moment(RETRY);
        int again = open_dir(run->options.dir);
        if (again >= 0) {
            (void)dup3(again, run->dir, O_CLOEXEC);
            close(again);
        }
    }
}

/* Is the attempt's folder no longer where it was, because its storage was unmounted? We still hold it open. */
static bool storage_left(const struct run *run)
{
    struct stat held, named;
    if (fstat(run->dir, &held) != 0)
        return false;
    return stat(run->options.dir, &named) != 0 || held.st_dev != named.st_dev || held.st_ino != named.st_ino;
}

/* Undoes the claim of an attempt whose command was not executed and never will be by us. */
static void give_back(struct run *run)
{
    if (renameat(run->dir, run->claimed, run->dir, "permit") != 0)
        return; /* then the end is told as it was seen */
    run->exit_code = EXIT_NEVER_RAN;
    run->exec_errno = 0;
}

/* ---------------------------------------------------------------- the exit record */

static unsigned long long own_start_ticks(void)
{
    char stat[1024];
    unsigned long long ticks = 0;
    const char *rest;
    if (!read_text("/proc/self/stat", stat, sizeof stat) || (rest = strrchr(stat, ')')) == NULL)
        return 0;
    /* Field 3 follows the name; the start time is field 22. */
    for (int field = 2; field < 22 && rest != NULL; field++)
        rest = strchr(rest + 1, ' ');
    if (rest != NULL)
        ticks = strtoull(rest, NULL, 10);
    return ticks;
}

/* The fields that both records have. */
static int begin_record(const struct run *run, char *text, size_t size, const char *phase)
{
    char boot_id[64] = "";
    (void)read_text("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id);
    boot_id[strspn(boot_id, "0123456789abcdef-")] = '\0';
    return snprintf(text, size,
                    "{\"version\":1,\"phase\":\"%s\",\"pid\":%d,\"pid_start\":%llu,\"boot_id\":\"%s\",\"started_at\":%.3f",
                    phase, (int)getpid(), own_start_ticks(), boot_id, run->started_at);
}

/* Overwrites the whole record with JSON, spaces and a final newline. */
static void put_record(struct run *run, const char *json)
{
    char record[RECORD_SIZE];
    nanos give_up_at = monotonic() + STORAGE_HICCUP;

    memset(record, ' ', sizeof record);
    memcpy(record, json, strnlen(json, sizeof record - 1));
    record[sizeof record - 1] = '\n';
    for (;;) {
        ssize_t n = pwrite(run->record, record, sizeof record, 0);
        if (n == (ssize_t)sizeof record)
            return;
        if (monotonic() > give_up_at) {
            warn("cannot write the exit record: %s", n < 0 ? strerror(errno) : "short write");
            return;
        }
        wait_a_moment(RETRY);
        int again = open_regular(run->dir, "exit", 0);
        if (again >= 0) {
            close_fd(&run->record);
            run->record = again;
        }
    }
}

static void put_started(struct run *run)
{
    char json[RECORD_SIZE];
    run->started_at = wall_clock();
    int n = begin_record(run, json, sizeof json, "started");
    (void)snprintf(json + n, sizeof json - (size_t)n, "}");
    put_record(run, json);
}

static const char *number_or_null(char *text, size_t size, bool present, long long number)
{
    (void)snprintf(text, size, present ? "%lld" : "null", number);
    return text;
}

/* The first of the --memory-peak files that holds a number. */
static const char *memory_peak(const struct options *options, char *text, size_t size)
{
    for (int i = 0; i < options->memory_peaks; i++) {
        if (!read_text(options->memory_peak[i], text, size))
            continue;
        text[strspn(text, "0123456789")] = '\0';
        if (text[0] != '\0')
            return text;
    }
    return "null";
}

/* What stands behind a name at the beginning of a line; NULL where no line begins so. */
static const char *behind(const char *text, const char *name)
{
    size_t length = strlen(name);
    while (text != NULL && strncmp(text, name, length) != 0) {
        text = strchr(text, '\n');
        text = text == NULL ? NULL : text + 1;
    }
    return text == NULL ? NULL : text + length;
}

static uint64_t value_of(const char *text, const char *name)
{
    const char *value = behind(text, name);
    return value == NULL ? 0 : strtoull(value, NULL, 10);
}

/* Looks how much memory is in use, in the first of the --memory-stat files that can be read: what processes have of their
 * own and share, temporary files in memory included. Not what the kernel keeps of other files while there is room for it,
 * which the cgroup's own peak counts, too: a script that reads a large file would seem to need its whole limit. */
static void sample_memory(struct run *run, nanos now)
{
    static char text[STAT_SIZE];
    run->sample_after = earlier(2 * run->sample_after, SAMPLE_EVERY);
    run->sample_at = run->options.memory_stats > 0 ? now + run->sample_after : NEVER;
    for (int i = 0; i < run->options.memory_stats; i++) {
        if (!read_text(run->options.memory_stat[i], text, sizeof text))
            continue;
        uint64_t old = value_of(text, "total_rss ") + value_of(text, "total_shmem "); /* cgroup v1 */
        uint64_t used = old > 0 ? old : value_of(text, "anon ") + value_of(text, "shmem ");
        run->sampled = used > run->sampled ? used : run->sampled;
        return;
    }
}

/* How many processes the kernel killed for memory: from the first of the --oom-kills files that has a line "oom_kill N".
 * Both cgroup v1 (memory.oom_control) and v2 (memory.events) write it so. */
static const char *oom_kills(const struct options *options, char *number, size_t size)
{
    char text[512];
    for (int i = 0; i < options->oom_counts; i++) {
        if (!read_text(options->oom_count[i], text, sizeof text))
            continue;
        const char *line = behind(text, "oom_kill ");
        if (line == NULL)
            continue;
        size_t digits = strspn(line, "0123456789");
        if (digits == 0 || digits >= size)
            continue;
        memcpy(number, line, digits);
        number[digits] = '\0';
        return number;
    }
    return "null";
}

/* Of the cgroup's peak, which no look can miss, and the looks, which tell memory from files that are only kept: the peak
 * where the limit was hit, or nobody looked. */
static const char *peak_memory(const struct run *run, const char *peak, const char *killed, uint64_t largest, char *text,
                               size_t size)
{
    uint64_t used = run->sampled > largest ? run->sampled : largest;
    bool limit_hit = strcmp(killed, "null") != 0 && strcmp(killed, "0") != 0;
    if (run->sampled == 0 || limit_hit || strcmp(peak, "null") == 0 || strtoull(peak, NULL, 10) <= used)
        return peak;
    (void)snprintf(text, size, "%" PRIu64, used);
    return text;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void put_ended(struct run *run)
{
    const struct log *log = &run->log;
    char json[RECORD_SIZE], code[24], signal_text[24], terminated[24], peak[32], used[32], killed[24];
    uint64_t kept = log->written < log->accepted ? log->written : log->accepted;
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_CHILDREN, &usage);
    const char *kills = oom_kills(&run->options, killed, sizeof killed);
    uint64_t largest = (uint64_t)usage.ru_maxrss * 1024;
    int n = begin_record(run, json, sizeof json, "ended");
    (void)snprintf(json + n, sizeof json - (size_t)n,
                   ",\"ended_at\":%.3f,\"exit_code\":%s,\"signal\":%s,\"timed_out\":%s,\"terminated_by\":%s"
                   ",\"log_size\":%" PRIu64 ",\"log_dropped\":%" PRIu64 ",\"log_errno\":%d,\"exec_errno\":%d"
                   ",\"peak_rss_bytes\":%lld,\"peak_memory_bytes\":%s,\"oom_kills\":%s"
                   ",\"user_seconds\":%.3f,\"system_seconds\":%.3f}",
                   wall_clock(), number_or_null(code, sizeof code, run->exit_code >= 0, run->exit_code),
                   number_or_null(signal_text, sizeof signal_text, run->signal != 0, run->signal),
                   run->timed_out ? "true" : "false",
                   number_or_null(terminated, sizeof terminated, run->terminated_by != 0, run->terminated_by),
                   log->written, log->received - kept, log->lost_errno, run->exec_errno, (long long)largest,
                   peak_memory(run, memory_peak(&run->options, peak, sizeof peak), kills, largest, used, sizeof used), kills,
                   seconds(usage.ru_utime), seconds(usage.ru_stime));
    put_record(run, json);
}

/* ---------------------------------------------------------------- the log */

static bool log_empty(const struct log *log)
{
    return log->start == log->end;
}

static bool log_failing(const struct log *log)
{
    return log->failing_since != NEVER;
}

/* How much may be read from the command now. None while the storage refuses: that holds the command back. */
static size_t log_room(const struct log *log)
{
    return log_failing(log) || log->end >= CHUNK ? 0 : CHUNK - log->end;
}

static void log_discard(struct log *log)
{
    log->start = log->end = 0;
    log->gathering_since = NEVER;
}

static void log_give_up(struct log *log)
{
    log->lost_errno = log->last_errno;
    log->failing_since = NEVER;
    log_discard(log);
}

/* Adds a line of the runner's own; the room for it is always there, for at most one marker and one message are added. */
static void log_say(struct log *log, const char *text)
{
    size_t room = sizeof log->bytes - log->end, length = strlen(text);
    if (log->lost_errno != 0)
        return;
    length = length < room ? length : room;
    memcpy(log->bytes + log->end, text, length);
    log->end += length;
    if (log->gathering_since == NEVER)
        log->gathering_since = monotonic();
}

static void log_mark(struct log *log)
{
    char marker[128];
    (void)snprintf(marker, sizeof marker,
                   "\n[rcluster: the log reached its limit of %" PRIu64 " bytes; further output is dropped]\n", log->cap);
    log->marked = true;
    log_say(log, marker);
}

/* `length` bytes of output were read to bytes + end. */
static void log_take(struct log *log, size_t length)
{
    uint64_t below_cap = log->cap - log->accepted;
    size_t kept = length < below_cap ? length : (size_t)below_cap;

    log->received += length;
    log->accepted += kept;
    if (log->lost_errno != 0)
        return;
    if (kept > 0 && log->gathering_since == NEVER)
        log->gathering_since = monotonic();
    log->end += kept;
    if (kept < length && !log->marked)
        log_mark(log);
}

/* When the next write is to be made. */
static nanos log_due(const struct log *log)
{
    if (log_empty(log))
        return NEVER;
    if (log_failing(log))
        return log->retry_at;
    if (!log->network || log->hasten || log->end >= CHUNK)
        return 0;
    return log->gathering_since + GATHER;
}

static void log_advance(struct log *log, size_t length)
{
    log->start += length;
    log->written += length;
    log->failing_since = NEVER;
    if (log_empty(log))
        log_discard(log);
}

/* A synced write that failed may have left some of its bytes in the file all the same; the size tells how many. */
static void log_count_landed(struct log *log, size_t length)
{
    struct stat st;
    uint64_t expected = log->base + log->written;
    if (fstat(log->fd, &st) != 0 || (uint64_t)st.st_size <= expected)
        return;
    uint64_t landed = (uint64_t)st.st_size - expected;
    log_advance(log, landed < length ? (size_t)landed : length);
}

static void log_failed(struct log *log, size_t length, int error)
{
    nanos now = monotonic();
    bool full = error == ENOSPC || error == EDQUOT;

    log->last_errno = error;
    if (!full || log->network) { /* a stale handle never heals, and an open asks the server for the true size */
        close_fd(&log->fd);
        log->fd = open_regular(log->dir, "log", log_flags(log->network));
    }
    if (log->network && log->fd >= 0)
        log_count_landed(log, length);
    if (log_empty(log))
        return;
    if (!log_failing(log))
        log->failing_since = now;
    log->retry_at = now + RETRY;
    if (error == EFBIG || now - log->failing_since >= log->patience) /* a size limit does not go away */
        log_give_up(log);
}

/* One write after the other until everything is in the file, or until one fails. */
static void log_write(struct log *log)
{
    while (!log_empty(log)) {
        size_t length = log->end - log->start;
        length = length < log->chunk ? length : log->chunk;
        ssize_t n = log->fd < 0 ? -1 : write(log->fd, log->bytes + log->start, length);
        int error = log->fd < 0 ? log->last_errno : n < 0 ? errno : EIO;
        if (n < 0 && error == EINTR)
            continue;
        if (n <= 0) {
            log_failed(log, length, error);
            return;
        }
        log_advance(log, (size_t)n);
    }
}

/* ---------------------------------------------------------------- starting the command */

struct pipes {
    int output[2], exec_error[2], info[2];
};

enum step { STEP_EXEC, STEP_WORKDIR, STEP_STDIN, STEP_FDS, STEP_FORK };

struct start_error {
    enum step step;
    int error;
};

static bool make_pipes(const struct options *options, struct pipes *pipes)
{
    pipes->info[0] = pipes->info[1] = -1;
    return pipe2(pipes->output, O_CLOEXEC) == 0 && pipe2(pipes->exec_error, O_CLOEXEC) == 0 &&
           (options->info_fd < 0 || pipe2(pipes->info, O_CLOEXEC) == 0);
}

/* Nothing of the runner's leaks into the command: not its folder, not the pipe that keeps slirp4netns alive. */
static bool mark_all_close_on_exec(void)
{
    struct rlimit limit;
    if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0)
        return true;
    /* Kernels before 5.11, and engines whose seccomp profile predates the call. */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    int end = limit.rlim_cur < 1048576 ? (int)limit.rlim_cur : 1048576;
    for (int fd = 3; fd < end; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return true;
}

/* Sets up 0, 1, 2 and the sandbox's info fd; returns the step that failed, STEP_EXEC if none did. */
static enum step arrange_fds(const struct options *options, const struct pipes *pipes)
{
    const char *input = options->stdin_file != NULL ? options->stdin_file : "/dev/null";
    int fd = open(input, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || dup2(fd, 0) < 0)
        return STEP_STDIN;
    if (dup2(pipes->output[1], 1) < 0 || dup2(pipes->output[1], 2) < 0)
        return STEP_FDS;
    if (options->info_fd >= 0 && pipes->info[1] != options->info_fd && dup2(pipes->info[1], options->info_fd) < 0)
        return STEP_FDS;
    if (!mark_all_close_on_exec() || (options->info_fd >= 0 && fcntl(options->info_fd, F_SETFD, 0) != 0))
        return STEP_FDS;
    return STEP_EXEC;
}

static void default_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number <= SIGRTMAX; number++)
        (void)sigaction(number, &action, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child. Whatever fails is told to the parent through the exec_error pipe, which an exec closes. */
static _Noreturn void become_command(const struct options *options, const struct pipes *pipes)
{
    (void)setpgid(0, 0);
    default_signals();
    /* Above the info fd, which would overwrite it. */
    int tell = fcntl(pipes->exec_error[1], F_DUPFD_CLOEXEC, options->info_fd + 4);
    struct start_error failure = {.step = STEP_FDS};
    if (tell >= 0)
        failure.step = arrange_fds(options, pipes);
    else
        tell = pipes->exec_error[1];
    if (failure.step == STEP_EXEC && options->workdir != NULL && chdir(options->workdir) != 0)
        failure.step = STEP_WORKDIR;
    if (failure.step == STEP_EXEC)
        (void)execvp(options->command[0], options->command);
    failure.error = errno;
    (void)!write(tell, &failure, sizeof failure);
    _exit(EXIT_NOT_FOUND);
}

/* The command could not be started: says so in the log. */
static void start_failed(struct run *run, struct start_error failure)
{
    const struct options *options = &run->options;
    const char *what = "", *name = options->command[0];
    char text[OWN_WORDS / 2];

    if (failure.step == STEP_WORKDIR) {
        what = "cannot enter ";
        name = options->workdir;
    } else if (failure.step == STEP_STDIN) {
        what = "cannot read ";
        name = options->stdin_file != NULL ? options->stdin_file : "/dev/null";
    } else if (failure.step != STEP_EXEC) {
        what = "cannot start ";
    }
    int n = snprintf(text, sizeof text, "rcluster-run: %s%.300s: %s\n", what, name, strerror(failure.error));
    if (n > 0)
        log_say(&run->log, text);
    run->exec_errno = failure.error;
    run->exit_code = failure.step == STEP_EXEC && failure.error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
    run->signal = 0;
}

static void start_command(struct run *run, struct pipes *pipes)
{
    pid_t pid = fork();
    if (pid == 0)
        become_command(&run->options, pipes);
    int error = errno;
    close(pipes->output[1]);
    close(pipes->exec_error[1]);
    close_fd(&pipes->info[1]);
    if (pid > 0) {
        (void)setpgid(pid, pid); /* the child does the same; whoever is first */
        run->command = pid;
        run->settled_at = monotonic() + SETTLE;
        run->time_limit_at = after(monotonic(), run->options.time_limit);
        run->sample_at = run->options.memory_stats > 0 ? monotonic() + FIRST_SAMPLE : NEVER;
        run->sample_after = FIRST_SAMPLE;
    } else {
        start_failed(run, (struct start_error){STEP_FORK, error});
        run->phase = CLEARING;
        run->clear_until = monotonic() + CLEAR;
    }
}

/* ---------------------------------------------------------------- signals and the end of processes */

/* Calls visit(pid, its parent, its group) for every process that /proc shows, until one call answers true. */
static bool any_process(bool (*visit)(pid_t pid, pid_t parent, pid_t group, pid_t subject), pid_t subject)
{
    char path[64], text[512], state;
    struct dirent *entry;
    bool found = false;
    DIR *proc = opendir("/proc");
    while (proc != NULL && !found && (entry = readdir(proc)) != NULL) {
        int pid = atoi(entry->d_name), parent, group;
        const char *rest;
        if (pid <= 0)
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
        if (read_text(path, text, sizeof text) && (rest = strrchr(text, ')')) != NULL &&
            sscanf(rest + 1, " %c %d %d", &state, &parent, &group) == 3)
            found = visit(pid, parent, group, subject);
    }
    if (proc != NULL)
        closedir(proc);
    return found;
}

static bool follows(pid_t pid, pid_t parent, pid_t group, pid_t leader)
{
    (void)parent;
    return group == leader && pid != leader;
}

/* Sends a signal to the script's group. A sandbox has one of its own; until it is known, or while its first process has
 * not made it yet, the command's group stands in. That first process, a process 1, is deaf: a signal that comes before
 * it has started the script is sent again. */
static void forward(struct run *run, int number, nanos now)
{
    if (run->command == 0 || run->phase == CLEARING)
        return;
    run->resend_at = NEVER;
    if (run->sandbox > 0) {
        bool heard = now >= run->settled_at || any_process(follows, run->sandbox);
        bool sent = kill(-run->sandbox, number) == 0;
        if (sent && !heard) {
            run->unheard = number;
            run->resend_at = now + RESEND;
        }
        if (sent || getpgid(run->sandbox) < 0)
            return;
    }
    (void)kill(-run->command, number);
}

static void start_grace(struct run *run, nanos now)
{
    if (run->kill_at == NEVER && !run->hurry)
        run->kill_at = after(now, run->options.grace);
}

static void read_info(struct run *run);

/* Bubblewrap says {"exit-code": 0} of a command that it executed, before it ends itself; of none if it never came so far. */
static bool sandbox_failed(struct run *run)
{
    if (run->options.info_fd < 0 || run->signal != 0 || run->exit_code == 0)
        return false;
    read_info(run);
    return strstr(run->info_text, "\"exit-code\"") == NULL;
}

static void command_ended(struct run *run, const siginfo_t *info, nanos now)
{
    struct start_error failure;
    bool failed;
    run->phase = DRAINING;
    run->drain_until = now + DRAIN;
    if (info->si_code == CLD_EXITED)
        run->exit_code = info->si_status;
    else
        run->signal = info->si_status;
    failed = sandbox_failed(run);
    if (read(run->exec_error, &failure, sizeof failure) == (ssize_t)sizeof failure) {
        start_failed(run, failure);
        failed = true;
    }
    run->never_began = failed && storage_left(run);
}

/* Reaps orphans; the command itself stays a zombie until nothing can be sent to its group any more. */
static void look_for_ended(struct run *run, nanos now)
{
    siginfo_t info;
    while (run->phase == RUNNING) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        if (info.si_pid == run->command)
            command_ended(run, &info, now);
        else
            (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

static void on_signal(struct run *run, int number, nanos now)
{
    bool stop = number == SIGTERM || number == SIGINT, hangup = number == SIGHUP || number == SIGQUIT;
    if (number == SIGCHLD) {
        look_for_ended(run, now);
        return;
    }
    forward(run, number, now);
    if (run->phase == RUNNING && (stop || hangup)) {
        bool weaker = run->terminated_by == SIGHUP || run->terminated_by == SIGQUIT;
        if (run->terminated_by == 0 || (stop && weaker))
            run->terminated_by = number;
    }
    if (stop)
        start_grace(run, now);
}

static void read_signals(struct run *run, nanos now)
{
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(run, (int)info.ssi_signo, now);
}

static bool kill_child(pid_t pid, pid_t parent, pid_t group, pid_t self)
{
    (void)group;
    if (parent == self)
        (void)kill(pid, SIGKILL);
    return false;
}

/* Kills every child of ours, orphans that came to us included. Their children come next, and are met at the next tick. */
static void kill_children(void)
{
    if (getpid() == 1)
        (void)kill(-1, SIGKILL);
    else
        (void)any_process(kill_child, getpid());
}

static void begin_clearing(struct run *run, nanos now)
{
    run->phase = CLEARING;
    run->clear_until = now + CLEAR;
    run->living_children = true;
    (void)kill(-run->command, SIGKILL);
    (void)waitpid(run->command, NULL, 0);
}

static void clear(struct run *run)
{
    pid_t pid;
    if (!run->living_children)
        return;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        ;
    run->living_children = pid == 0;
    if (run->living_children)
        kill_children();
}

/* ---------------------------------------------------------------- the loop */

/* Takes what bwrap writes to its --json-status-fd: {"child-pid": 123, ...}, the sandbox's first process, and at the end
 * {"exit-code": 0}. */
static void read_info(struct run *run)
{
    static const char key[] = "\"child-pid\"";
    ssize_t n = 1;
    while (run->info >= 0 && n > 0) {
        size_t room = sizeof run->info_text - 1 - run->info_length;
        n = room > 0 ? read(run->info, run->info_text + run->info_length, room) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        run->info_length += n > 0 ? (size_t)n : 0;
        run->info_text[run->info_length] = '\0';
        if (n <= 0)
            close_fd(&run->info);
    }
    const char *found = strstr(run->info_text, key);
    /* A number that was cut in two must not be taken for another process. */
    if (run->sandbox == 0 && found != NULL && strchr(found, '}') != NULL) {
        found += sizeof key - 1;
        found += strspn(found, " \t\r\n:");
        long pid = strtol(found, NULL, 10);
        run->sandbox = pid > 1 && pid <= INT_MAX ? (pid_t)pid : 0;
    }
}

static void read_output(struct run *run)
{
    struct log *log = &run->log;
    size_t room = log_room(log);
    run->output_dry = run->output < 0;
    if (room == 0 || run->output < 0)
        return;
    ssize_t n = read(run->output, log->bytes + log->end, room);
    if (n > 0) {
        log_take(log, (size_t)n);
        run->read_at = (size_t)n < room ? monotonic() + BREATH : 0;
    } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        run->output_dry = errno == EAGAIN;
    } else {
        close_fd(&run->output);
        run->output_dry = true;
    }
}

static void look_at_clock(struct run *run, nanos now)
{
    if (run->phase == RUNNING && now >= run->time_limit_at) {
        run->time_limit_at = NEVER;
        if (run->kill_at == NEVER && !run->hurry) { /* else it is being ended for another reason */
            run->timed_out = true;
            forward(run, SIGTERM, now);
            start_grace(run, now);
        }
    }
    if (run->phase == RUNNING && now >= run->sample_at)
        sample_memory(run, now);
    if (run->phase == RUNNING && now >= run->resend_at)
        forward(run, run->unheard, now);
    if (now >= run->kill_at) {
        run->kill_at = NEVER;
        run->hurry = true;
        if (run->phase == RUNNING)
            (void)kill(-run->command, SIGKILL);
    }
    if (run->hurry && run->phase != RUNNING && log_failing(&run->log))
        log_give_up(&run->log);
}

/* Moves on from RUNNING's successors. Time that the storage takes is not the command's: while it fails, no deadline runs. */
static void look_at_phase(struct run *run, nanos now)
{
    if (log_failing(&run->log)) {
        run->drain_until = now + DRAIN;
        run->clear_until = now + CLEAR;
    }
    /* A sandbox that was itself killed by a signal (the script's comes as 128 + N) leaves nobody to wait for. */
    bool broken = run->options.info_fd >= 0 && run->signal != 0;
    if (run->phase == DRAINING && (run->output < 0 || run->hurry || broken || now >= run->drain_until))
        begin_clearing(run, now);
    if (run->phase == CLEARING) {
        run->log.hasten = true;
        clear(run);
        read_output(run);
    }
}

static bool finished(const struct run *run, nanos now)
{
    if (run->phase != CLEARING || !log_empty(&run->log))
        return false;
    return (run->output_dry && !run->living_children) || now >= run->clear_until;
}

/* A command that prints fast would wake us for every page that it writes, which costs both more than the bytes do. */
static bool breathes(const struct run *run, nanos now)
{
    return run->phase == RUNNING && now < run->read_at;
}

static nanos next_moment(const struct run *run, nanos now)
{
    nanos next = earlier(run->kill_at, log_due(&run->log));
    if (run->phase == RUNNING)
        next = earlier(earlier(next, run->sample_at), earlier(run->time_limit_at, run->resend_at));
    if (breathes(run, now))
        next = earlier(next, run->read_at);
    if (run->phase == DRAINING)
        next = earlier(next, run->drain_until);
    if (run->phase == CLEARING)
        next = earlier(next, now + CLEAR_TICK);
    return next;
}

static void wait_for_events(struct run *run)
{
    nanos now = monotonic(), next = next_moment(run, now), span = next <= now ? 0 : next - now;
    bool reads = log_room(&run->log) > 0 && !breathes(run, now);
    struct pollfd fds[] = {
        {.fd = run->signals, .events = POLLIN},
        {.fd = reads ? run->output : -1, .events = POLLIN},
        {.fd = run->info, .events = POLLIN},
    };
    struct timespec timeout = {.tv_sec = (time_t)(span / SECOND), .tv_nsec = (long)(span % SECOND)};

    if (ppoll(fds, 3, next == NEVER ? NULL : &timeout, NULL) <= 0)
        return;
    if (fds[2].revents != 0) /* before the signals, which go where it says */
        read_info(run);
    if (fds[0].revents != 0)
        read_signals(run, monotonic());
    if (fds[1].revents != 0)
        read_output(run);
}

static void supervise(struct run *run)
{
    nanos now = monotonic();
    while (!finished(run, now)) {
        wait_for_events(run);
        now = monotonic();
        look_at_clock(run, now);
        look_at_phase(run, now);
        if (now >= log_due(&run->log))
            log_write(&run->log);
    }
}

/* ---------------------------------------------------------------- the whole */

static bool prepare(struct run *run, struct pipes *pipes)
{
    struct options *options = &run->options;
    sigset_t heard;

    sigemptyset(&heard);
    static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&heard, numbers[i]);
    if ((run->dir = open_dir(options->dir)) < 0) {
        warn("cannot open %s: %s", options->dir, strerror(errno));
        return false;
    }
    run->log.dir = run->dir;
    run->log.network = is_network(run->dir, options->storage);
    if (!open_files(run))
        return false;
    if ((run->signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 || !make_pipes(options, pipes)) {
        warn("cannot prepare: %s", strerror(errno));
        return false;
    }
    run->output = pipes->output[0];
    run->exec_error = pipes->exec_error[0];
    run->info = pipes->info[0];
    (void)fcntl(run->output, F_SETFL, O_NONBLOCK);
    if (!run->log.network) /* there, writes are slow and the pipe fills: what it holds is lost with the machine */
        (void)fcntl(run->output, F_SETPIPE_SZ, PIPE); /* refused: it stays at the usual 64 KiB */
    (void)fcntl(run->exec_error, F_SETFL, O_NONBLOCK);
    if (run->info >= 0)
        (void)fcntl(run->info, F_SETFL, O_NONBLOCK);
    return true;
}

static int execute(struct run *run)
{
    struct pipes pipes;
    if (!prepare(run, &pipes) || !claim(run))
        return EXIT_NEVER_RAN;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)prctl(PR_SET_DUMPABLE, 0); /* the command runs as the same user: it must not trace or stop its watcher */
    put_started(run);
    start_command(run, &pipes);
    (void)fdatasync(run->record); /* while the command loads: nobody waits for it */
    supervise(run);
    if (run->never_began)
        give_back(run);
    if (!run->log.network && run->log.fd >= 0)
        (void)fdatasync(run->log.fd);
    put_ended(run);
    (void)fdatasync(run->record);
    if (run->timed_out)
        return EXIT_TIME_LIMIT;
    return run->signal != 0 ? 128 + run->signal : run->exit_code;
}

static _Noreturn void usage(const char *complaint, const char *subject)
{
    warn("%s%s", complaint, subject);
    (void)fputs("usage: rcluster-run --dir DIR [--time-limit SECONDS] [--grace SECONDS] [--log-cap BYTES] [--stdin FILE]\n"
                "         [--workdir DIR] [--sandbox-info-fd N] [--memory-peak FILE]... [--memory-stat FILE]...\n"
                "         [--oom-kills FILE]... [--storage auto|local|network] [--full-disk-wait SECONDS] -- COMMAND [ARG...]\n", stderr);
    exit(EXIT_NEVER_RAN);
}

static nanos parse_seconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0' || *end != '\0' || !(value <= 1e9))
        usage("not a number of seconds: ", text);
    return (nanos)(value * (double)SECOND);
}

static uint64_t parse_number(const char *text, uint64_t most)
{
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0' || errno != 0 || value > most)
        usage("not a number, or too large: ", text);
    return value;
}

static enum storage parse_storage(const char *text)
{
    if (strcmp(text, "auto") == 0)
        return STORAGE_AUTO;
    if (strcmp(text, "local") == 0)
        return STORAGE_LOCAL;
    if (strcmp(text, "network") == 0)
        return STORAGE_NETWORK;
    usage("not a kind of storage: ", text);
}

static void set_option(struct options *options, int letter, const char *value)
{
    switch (letter) {
    case 'd': options->dir = value; return;
    case 't':
        options->time_limit = parse_seconds(value);
        if (options->time_limit == 0) /* as with the cap, 0 is none */
            options->time_limit = NEVER;
        return;
    case 'g': options->grace = parse_seconds(value); return;
    case 'c':
        options->log_cap = parse_number(value, UINT64_MAX - 1);
        if (options->log_cap == 0)
            options->log_cap = UINT64_MAX;
        return;
    case 'i': options->stdin_file = value; return;
    case 'w': options->workdir = value; return;
    case 's':
        options->info_fd = (int)parse_number(value, 1000);
        if (options->info_fd < 3)
            usage("the info fd must be 3 or more: ", value);
        return;
    case 'm':
        if (options->memory_peaks == MEMORY_PEAKS)
            usage("too many --memory-peak: ", value);
        options->memory_peak[options->memory_peaks++] = value;
        return;
    case 'u':
        if (options->memory_stats == MEMORY_STATS)
            usage("too many --memory-stat: ", value);
        options->memory_stat[options->memory_stats++] = value;
        return;
    case 'o':
        if (options->oom_counts == OOM_COUNTS)
            usage("too many --oom-kills: ", value);
        options->oom_count[options->oom_counts++] = value;
        return;
    case 'n': options->storage = parse_storage(value); return;
    case 'f': options->full_disk_wait = parse_seconds(value); return;
    default: usage("unknown option, or its value is missing", "");
    }
}

static void parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},        {"time-limit", required_argument, NULL, 't'},
        {"grace", required_argument, NULL, 'g'},      {"log-cap", required_argument, NULL, 'c'},
        {"stdin", required_argument, NULL, 'i'},      {"workdir", required_argument, NULL, 'w'},
        {"sandbox-info-fd", required_argument, NULL, 's'}, {"memory-peak", required_argument, NULL, 'm'},
        {"memory-stat", required_argument, NULL, 'u'}, {"oom-kills", required_argument, NULL, 'o'},
        {"storage", required_argument, NULL, 'n'},    {"full-disk-wait", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int letter;
    *options = (struct options){
        .time_limit = NEVER, .grace = 10 * SECOND, .log_cap = UINT64_MAX, .info_fd = -1, .full_disk_wait = 60 * SECOND};
    while ((letter = getopt_long(argc, argv, "+", names, NULL)) != -1)
        set_option(options, letter, optarg);
    if (options->dir == NULL)
        usage("--dir is missing", "");
    if (optind >= argc)
        usage("no command", "");
    options->command = argv + optind;
}

/* Signals are read from a signalfd. Blocked ones reach even a process 1, which has no default dispositions, and none can
 * interrupt or end the runner (SIGPIPE, SIGXFSZ). From the first line on: a TERM before the fork is not lost. */
static void block_signals(void)
{
    sigset_t all;
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)sigaction(SIGCHLD, &action, NULL); /* an inherited "ignore" would reap behind our back */
}

/* So that none of our files becomes 0, 1 or 2. */
static void open_standard_fds(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
        ;
    if (fd > 2)
        close(fd);
}

int main(int argc, char **argv)
{
    static struct run run;
    block_signals();
    open_standard_fds();
    parse_options(&run.options, argc, argv);
    run.log.cap = run.options.log_cap;
    run.log.patience = run.options.full_disk_wait;
    run.log.gathering_since = run.log.failing_since = NEVER;
    run.exit_code = -1;
    run.time_limit_at = run.resend_at = run.kill_at = run.sample_at = NEVER;
    return execute(&run);
}
