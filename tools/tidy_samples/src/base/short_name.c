/* A sample. */
int parse_ctx;
