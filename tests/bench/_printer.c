/*
 * printer LINES PER_SECOND TIMES: prints numbered lines of exactly 100 bytes, each with the moment at which it was
 * printed, and writes when it began and ended (seconds since 1970) to the file TIMES. PER_SECOND 0: as fast as C prints.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_until(double moment)
{
    double left = moment - now();
    if (left <= 0)
        return;
    struct timespec t = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
    nanosleep(&t, NULL);
}

int main(int count, char **arguments)
{
    static const char filler[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg";
    if (count != 4)
        return 2;
    long lines = atol(arguments[1]), per_second = atol(arguments[2]);
    double began = now();
    for (long i = 0; i < lines; i++) {
        if (per_second > 0) {
            sleep_until(began + (double)i / (double)per_second);
            printf("%.6f %012ld %.68s\n", now(), i, filler);
            fflush(stdout);
        } else {
            printf("%017ld %012ld %.68s\n", 0L, i, filler);
        }
    }
    if (fflush(stdout) != 0)
        return 1;
    double ended = now();
    FILE *times = fopen(arguments[3], "w");
    if (times == NULL || fprintf(times, "%.6f %.6f\n", began, ended) < 0 || fclose(times) != 0)
        return 1;
    return 0;
}
