/* A sample. */
#include <llhttp.h>
