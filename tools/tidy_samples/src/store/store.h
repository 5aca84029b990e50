#ifndef DR_STORE_STORE_H
#define DR_STORE_STORE_H

#endif
