/* A sample. */
void *take(void) { return malloc(1); }
