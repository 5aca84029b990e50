#ifndef DR_NET_ABOUT_H
#define DR_NET_ABOUT_H
#include "net/round.h"
#endif
