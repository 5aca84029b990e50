/* What processes cost: their time on a core and their memory, as the kernel counts them. */
#ifndef DR_BENCH_LOAD_WATCH_H
#define DR_BENCH_LOAD_WATCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { LOAD_WATCH_MAX = 8 };

struct load_watch {
    pid_t processes[LOAD_WATCH_MAX];
    size_t count;
};

/* Summed over all threads of all processes. */
struct load_cost {
    double cpu_us;  /* from schedstat */
    double user_us; /* the split follows the kernel's ticks */
    double system_us;
};
struct load_memory {
    uint64_t rss_kib;
    uint64_t anonymous_kib; /* heaps and stacks; not the pages of files that it maps */
};

struct load_cost load_watch_cost(const struct load_watch *watch);
/* What all cores have worked since boot, in the kernel's ticks; time taken by the host counts. */
double load_watch_machine_us(void);
struct load_memory load_watch_memory(const struct load_watch *watch);
/* Cheaper: does not walk the process's pages. */
uint64_t load_watch_rss_kib(const struct load_watch *watch);

#endif
