/* A sample. */
#include <cmocka.h>
