/* Linked with one whole floor and the floors below it, and nothing else: an arrow that points up
 * or sideways is then a missing symbol. Must not call anything. */
#include <stdlib.h>

int main(void) {
    return EXIT_SUCCESS;
}
