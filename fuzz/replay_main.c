/* Runs a fuzz target over the files and folders named as arguments, once each: the form in which
 * corpus and regressions run as ordinary tests, with any compiler. Must not search for anything
 * new; that is the fuzzing engine's work. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_BYTES_MAX = 16 * 1024 * 1024, PATH_BYTES = 4096 };

/* The copy has exactly the size of the input, so that the sanitizer sees one byte too far. */
static bool replay_file(const char *path, size_t size) {
    if (size > INPUT_BYTES_MAX) {
        fprintf(stderr, "%s: %zu bytes, at most %d are replayed\n", path, size, INPUT_BYTES_MAX);
        return false;
    }
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    uint8_t *bytes = malloc(size ? size : 1);
    const size_t got = bytes ? fread(bytes, 1, size, file) : 0;
    fclose(file);
    const bool is_whole = bytes && got == size;
    if (is_whole) {
        /* Named before it runs: after a crash the last line tells the input. */
        printf("%s\n", path);
        fflush(stdout);
        (void)LLVMFuzzerTestOneInput(bytes, size);
    } else {
        fprintf(stderr, "%s: could not be read whole\n", path);
    }
    free(bytes);
    return is_whole;
}

static bool replay_folder(const char *path, size_t *count) {
    DIR *folder = opendir(path);
    if (!folder) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    bool is_good = true;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        char inner[PATH_BYTES];
        const int len = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        struct stat status;
        if (len < 0 || (size_t)len >= sizeof(inner) || stat(inner, &status) != 0) {
            fprintf(stderr, "%s/%s: cannot be looked at\n", path, entry->d_name);
            is_good = false;
            continue;
        }
        if (!S_ISREG(status.st_mode)) continue;
        is_good = replay_file(inner, (size_t)status.st_size) && is_good;
        *count += 1;
    }
    closedir(folder);
    return is_good;
}

int main(int argument_count, char **arguments) {
    bool is_good = true;
    size_t count = 0;
    /* The empty input is part of every corpus. */
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argument_count; i++) {
        struct stat status;
        if (stat(arguments[i], &status) != 0) {
            fprintf(stderr, "%s: %s\n", arguments[i], strerror(errno));
            is_good = false;
        } else if (S_ISDIR(status.st_mode)) {
            is_good = replay_folder(arguments[i], &count) && is_good;
        } else {
            is_good = replay_file(arguments[i], (size_t)status.st_size) && is_good;
            count++;
        }
    }
    printf("%zu inputs replayed\n", count);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
