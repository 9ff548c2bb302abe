/* Floating point numbers as the shortest decimals that name them, spelled as Python does. */
#ifndef API_GATEWAY_DECIMAL_H
#define API_GATEWAY_DECIMAL_H

#include "output.h"

/* Compute the table of powers of ten; once, before anything is written. */
void decimal_open(void);

/* Write a number, or `"NaN"`, `"Infinity"`, `"-Infinity"` with their quotes. */
void put_double(Output *output, double value);

/* Write a 32-bit float with as few digits, but six at least, as name it among 32-bit floats: 0.1, not
   0.10000000149011612. */
void put_float(Output *output, float value);

#endif
