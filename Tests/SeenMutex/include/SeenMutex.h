// Nothing to be called: mutex.c takes the place of two functions of Swift's.
