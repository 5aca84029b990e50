/* A sample. */
/* FIXME later */
