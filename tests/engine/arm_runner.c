/* Runs launches on an emulated AArch64 processor, in memory that it shares with the test.

   runner FILE BASE SIZE maps FILE at BASE, where the test has mapped it, too; so addresses in it mean the same to both.
   Commands are eight i64 on standard input; each is answered by one i64 on standard output.
     0 number                          the address of a function: pread, syscall, sched_yield, usleep
     1 launches n step n_threads       every launch, for one thread after the other, in this thread
     2 work arguments n_threads        threads 1 .. n_threads - 1, in which `work` runs
     3 kernel arguments step n_threads a kernel, as thread 0
     4 n_threads                       waits for the threads of command 2
   pread's file is a descriptor of the test's process. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void kernel(int64_t args, int64_t step, int64_t thread, int64_t n_threads);
typedef struct { int64_t kernel, args, barrier, spare; } launch;
typedef struct { int64_t work, arguments, thread, n_threads; } worker;

static long read_of_test(int64_t file, void *to, size_t n, off_t at) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)getppid(), (int)file);
    int own = open(name, O_RDONLY);
    long got = own < 0 ? -1 : pread(own, to, n, at);
    if (own >= 0) close(own);
    return got;
}

static int64_t functions(int64_t which) {
    switch (which) {
    case 0: return (int64_t)read_of_test;
    case 1: return (int64_t)syscall;
    case 2: return (int64_t)sched_yield;
    default: return (int64_t)usleep;
    }
}

static void walk(const launch *launches, int64_t n, int64_t step, int64_t n_threads) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t t = 0; t < n_threads; t++)
            if (!*(volatile int64_t *)step)
                ((kernel *)launches[i].kernel)(launches[i].args, step, t, n_threads);
}

static void *serve(void *given) {
    worker *w = given;
    ((kernel *)w->work)(w->arguments, 0, w->thread, w->n_threads);
    return NULL;
}

static pthread_t threads[64];
static worker workers[64];

static void start(int64_t work, int64_t arguments, int64_t n_threads) {
    for (int64_t t = 1; t < n_threads; t++) {
        workers[t] = (worker){work, arguments, t, n_threads};
        if (pthread_create(&threads[t], NULL, serve, &workers[t])) exit(3);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int file = open(argv[1], O_RDWR);
    uint64_t base = strtoull(argv[2], NULL, 0), size = strtoull(argv[3], NULL, 0);
    void *at = mmap((void *)base, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0);
    if (at != (void *)base) return 4;
    int64_t c[8];
    while (fread(c, sizeof c, 1, stdin) == 1) {
        int64_t answer = 0;
        switch (c[0]) {
        case 0: answer = functions(c[1]); break;
        case 1: walk((launch *)c[1], c[2], c[3], c[4]); break;
        case 2: start(c[1], c[2], c[3]); break;
        case 3: ((kernel *)c[1])(c[2], c[3], 0, c[4]); break;
        case 4: for (int64_t t = 1; t < c[1]; t++) pthread_join(threads[t], NULL); break;
        default: return 5;
        }
        fwrite(&answer, sizeof answer, 1, stdout);
        fflush(stdout);
    }
    return 0;
}
