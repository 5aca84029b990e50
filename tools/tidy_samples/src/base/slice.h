#ifndef DR_BASE_SLICE_H
#define DR_BASE_SLICE_H
int dr_slice;
#endif
