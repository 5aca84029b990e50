/* Force-included everywhere: calls that are always a mistake here become compile errors. */
#ifndef DR_BASE_BANNED_H
#define DR_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Some C libraries define these as macros, which may not be poisoned as long as they are. */
#undef alloca
#undef sprintf
#undef strcat
#undef strcpy
#undef strncat
#undef strncpy
#undef strtok
#undef vsprintf

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof gets srand localtime \
    gmtime asctime ctime alloca strncpy strncat

/* Not poisoned, since OpenSSL's headers have a parameter of that name. */
extern int rand(void) __attribute__((deprecated("take dr_random or dr_entropy")));

#endif
