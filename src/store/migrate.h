/* The embedded schema: numbered steps, forward only. A step that was released is never edited; a
 * change is a new step. Plain texts: whoever speaks SQL runs them. */
#ifndef DR_STORE_MIGRATE_H
#define DR_STORE_MIGRATE_H

#include <stddef.h>

struct migration {
    const char *name;
    const char *sql; /* statements, run in one transaction */
};

/* The schema's version, that is, how many steps there are. */
size_t migrate_count(void);
/* Step `number`, counted from 1. */
const struct migration *migrate_get(size_t number);

#endif
