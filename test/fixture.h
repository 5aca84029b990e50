/* The recordings under test/fixtures, read by one door that remembers what went through it: a file
 * that no test reads fails the tests. Functions fail the running test; one thread. */
#ifndef DR_TEST_FIXTURE_H
#define DR_TEST_FIXTURE_H

#include "base/buf.h"
#include "base/json.h"
#include "base/random.h"
#include "model/failure.h"
#include "net/sse.h"

/* Given: clear it. */
struct dr_buf fixture_read(const char *folder, dr_slice file);
/* The same of any file: golden texts. */
struct dr_buf fixture_read_path(const char *path);
/* Text of a member; DR_NONE when absent. */
dr_slice fixture_text(dr_json entry, const char *name);

/* Calls `check` for each entry of the folder's INDEX.json, and returns their number. */
typedef void fixture_check(const char *folder, dr_json entry, void *owner);
size_t fixture_visit(const char *folder, fixture_check *check, void *owner);

/* Reads a stream's events `step` bytes at a time, or in two pieces when `cut` is given. */
typedef void fixture_event(void *owner, const struct dr_sse_event *event);
void fixture_read_stream(dr_slice bytes, size_t cut, size_t step, fixture_event *noted,
                         void *owner);
/* Every cut of a short stream, a thousand seeded ones of a long one: the events stay the same. */
void fixture_check_cuts(const char *name, dr_slice bytes, struct dr_random *random);

/* As golden texts have them: control characters escaped, "-" for an empty one. */
void fixture_put_text(struct dr_buf *out, dr_slice text);
/* "message | type | code | param". */
void fixture_put_failure(struct dr_buf *out, const struct failure *failure);

/* At the end of the test program `program`: each file in the folders that it answers for has been
 * read by it, and each folder there is has somebody who does. */
void fixture_assert_all_read(const char *program);

#endif
