#ifndef DR_NET_URL_H
#define DR_NET_URL_H
#include "base/slice.h"
#endif
