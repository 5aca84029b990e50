#ifndef DR_NET_ROUND_H
#define DR_NET_ROUND_H
#include "net/about.h"
#endif
