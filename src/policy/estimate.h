/* Token estimates from bytes, for answers whose provider reports none, or only a part. Pure. A
 * token is taken as four bytes of text, rounded up; a message costs four more (the chat format's
 * frame), an image 85 (OpenAI's price of one in low detail).
 *
 * What is taken where a report is not whole. 0 is no report: an ask has tokens, and so has an
 * answer that has text. Where zeros are told, too (`is_zero_told`), only the latter is doubted: a
 * report with output, or of an answer without text, is taken as it is.
 *
 *   prompt  completion  total         taken as prompt        as output            source
 *   told    told        any           told                   told, or total -     reported
 *                                                            prompt where more
 *   told    -           > prompt      told                   total - prompt       reported
 *   told    -           none, less    told                   0: nothing came      reported
 *   told    -           none, less    told                   estimated: some did  estimated
 *   -       told        > completion  total - completion     told                 reported
 *   -       told        none, less    estimated              told                 estimated
 *   -       -           told          estimated, <= total    total - prompt       estimated
 *   -       -           -             estimated              estimated            estimated
 */
#ifndef DR_POLICY_ESTIMATE_H
#define DR_POLICY_ESTIMATE_H

#include "model/prompt.h"
#include "model/usage.h"

/* Usage of an answer of `output_bytes` by the table above: `reported` as it came, of source
 * USAGE_NONE where nothing did. */
struct usage estimate_usage(const struct prompt *prompt, const struct usage *reported,
                            uint64_t output_bytes);
/* Adds output that came behind the report; then the usage is an estimate. */
void estimate_add_output(struct usage *usage, uint64_t output_bytes);

#endif
