/* A sample. */
#include <sqlite3.h>
