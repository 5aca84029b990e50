/* A provider's sentence, fit to be shown to a client. */
#ifndef DR_GATEWAY_PROVIDER_WORDS_H
#define DR_GATEWAY_PROVIDER_WORDS_H

#include "base/buf.h"

/* Appends `words` with "***" for whatever looks like a key, or like the name of the account,
 * organisation or project that the gateway has with the provider. Never longer than it was. */
void provider_words_put(struct dr_buf *buf, dr_slice words);

#endif
