/* A sample. */
#include <yyjson.h>
