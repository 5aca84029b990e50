/* A sample. */
#include "net/url.h"

#include "base/slice.h"

#include <openssl/ssl.h>
#include <uv.h>

/* A comment may say // and http://host. */
static const char *const text = "// and ctx";
