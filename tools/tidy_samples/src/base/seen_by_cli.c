/* A sample. */
#include "cli/command.h"
