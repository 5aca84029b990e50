/* Reads /proc. Must not be called within a measured window more often than a few times a second. */
#include "load_watch.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096, PATH_BYTES = 300 };

/* The file's beginning, with a NUL; empty when it cannot be read. */
static const char *read_text(const char *path, char text[TEXT_BYTES]) {
    FILE *file = fopen(path, "r");
    const size_t len = file ? fread(text, 1, TEXT_BYTES - 1, file) : 0;
    if (file) fclose(file);
    text[len] = '\0';
    return text;
}

static void add_thread(pid_t process, const char *thread, struct load_cost *cost) {
    char path[PATH_BYTES];
    char text[TEXT_BYTES];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)process, thread);
    cost->cpu_us += (double)strtoull(read_text(path, text), NULL, 10) / 1000.0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)process, thread);
    /* The name in brackets may hold anything; eleven fields behind it come the two times. */
    char *at = strrchr(read_text(path, text), ')');
    for (int field = 0; at && field < 12; field++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) return;
    char *next = NULL;
    const double tick_us = 1e6 / (double)sysconf(_SC_CLK_TCK);
    cost->user_us += (double)strtoull(at, &next, 10) * tick_us;
    cost->system_us += (double)strtoull(next, NULL, 10) * tick_us;
}

struct load_cost load_watch_cost(const struct load_watch *watch) {
    struct load_cost cost = {.cpu_us = 0};
    for (size_t i = 0; i < watch->count; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)watch->processes[i]);
        DIR *threads = opendir(path);
        const struct dirent *entry;
        while (threads && (entry = readdir(threads)) != NULL) {
            if (entry->d_name[0] != '.') add_thread(watch->processes[i], entry->d_name, &cost);
        }
        if (threads) closedir(threads);
    }
    return cost;
}

double load_watch_machine_us(void) {
    char text[TEXT_BYTES];
    char *at = strchr(read_text("/proc/stat", text), ' ');
    double ticks = 0;
    /* user nice system idle iowait irq softirq steal */
    for (int field = 0; at && field < 8; field++) {
        const double value = (double)strtoull(at, &at, 10);
        if (field != 3 && field != 4) ticks += value;
    }
    return ticks * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static uint64_t read_kib(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

struct load_memory load_watch_memory(const struct load_watch *watch) {
    struct load_memory memory = {.rss_kib = 0};
    for (size_t i = 0; i < watch->count; i++) {
        char path[PATH_BYTES];
        char text[TEXT_BYTES];
        (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)watch->processes[i]);
        read_text(path, text);
        memory.rss_kib += read_kib(text, "\nRss:");
        memory.anonymous_kib += read_kib(text, "\nAnonymous:");
    }
    return memory;
}

uint64_t load_watch_rss_kib(const struct load_watch *watch) {
    const uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
    uint64_t rss_kib = 0;
    for (size_t i = 0; i < watch->count; i++) {
        char path[PATH_BYTES];
        char text[TEXT_BYTES];
        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)watch->processes[i]);
        const char *second = strchr(read_text(path, text), ' ');
        rss_kib += second ? strtoull(second, NULL, 10) * page_kib : 0;
    }
    return rss_kib;
}
