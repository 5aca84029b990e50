/* A sample. */
#include "store/store.h"
