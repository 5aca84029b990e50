/* A sample. */
#include "net/url.h"
