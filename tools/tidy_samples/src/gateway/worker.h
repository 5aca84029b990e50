#ifndef DR_GATEWAY_WORKER_H
#define DR_GATEWAY_WORKER_H

#endif
