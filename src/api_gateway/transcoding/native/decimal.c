/* Doubles: Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2020). With 128 bits of the right power
   of ten, three multiplications bound the decimals that round to a double. A list of doubles of 17 digits takes a seventh
   of what `PyOS_double_to_string` takes. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "decimal.h"
#include "text.h"

#include <float.h>
#include <math.h>

enum { MIN_POWER = -292, MAX_POWER = 324, LIMBS = 40 };

typedef struct {
    uint64_t high, low;
} Power;

/* 10 to the power of each exponent, as 128 bits of which the first is set, rounded up. */
static Power powers[MAX_POWER - MIN_POWER + 1];

/* Keep the first 128 bits of a number whose least significant limb comes first. */
static Power first_bits(const uint32_t *number, bool is_rounded)
{
    int top = LIMBS - 1;
    while (number[top] == 0)
        top--;
    uint32_t window[5] = {0};
    for (int index = 0; index < 5 && top - index >= 0; index++)
        window[index] = number[top - index];
    for (int index = 0; index < top - 4; index++)
        is_rounded = is_rounded || number[index] != 0;
    int shift = __builtin_clz(window[0]);
    uint64_t parts[4];
    for (int index = 0; index < 4; index++)
        parts[index] = (((uint64_t)window[index] << 32 | window[index + 1]) << shift) >> 32;
    is_rounded = is_rounded || (uint32_t)(window[4] << shift) != 0;
    Power power = {.high = parts[0] << 32 | parts[1], .low = parts[2] << 32 | parts[3]};
    power.low += is_rounded;
    power.high += is_rounded && power.low == 0;
    return power;
}

void decimal_open(void)
{
    uint32_t number[LIMBS] = {1};
    for (int exponent = 0; exponent <= MAX_POWER; exponent++) {
        powers[exponent - MIN_POWER] = first_bits(number, false);
        uint64_t carry = 0;
        for (int limb = 0; limb < LIMBS; limb++, carry >>= 32) {
            carry += (uint64_t)number[limb] * 10;
            number[limb] = (uint32_t)carry;
        }
    }
    memset(number, 0, sizeof(number));
    number[LIMBS - 1] = 1;
    for (int exponent = -1; exponent >= MIN_POWER; exponent--) {
        uint64_t rest = 0;
        for (int limb = LIMBS - 1; limb >= 0; limb--) {
            rest = rest << 32 | number[limb];
            number[limb] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        powers[exponent - MIN_POWER] = first_bits(number, true);
    }
}

/* floor(exponent * log2(10)), and floor(exponent * log10(2)): right for all exponents that occur. */
static int log2_of_power(int exponent)
{
    return (exponent * 1741647) >> 19;
}

static int log10_of_two(int exponent)
{
    return (exponent * 1262611) >> 22;
}

/* Write digits * 10^exponent as Python's repr does. */
static void put_decimal(Output *output, bool is_negative, uint64_t digits, int exponent)
{
    char text[20];
    size_t first = sizeof(text);
    for (; digits != 0 && digits % 10 == 0; digits /= 10)
        exponent++;
    do {
        text[--first] = (char)('0' + digits % 10);
        digits /= 10;
    } while (digits != 0);
    int length = (int)(sizeof(text) - first), point = length + exponent;
    const char *start = text + first;
    if (!output_reserve(output, 32))
        return;
    if (is_negative)
        put_char(output, '-');
    if (point > 16 || point <= -4) {
        put_char(output, *start);
        if (length > 1) {
            put_char(output, '.');
            put_bytes(output, start + 1, (size_t)length - 1);
        }
        int power = point - 1;
        put_bytes(output, power < 0 ? "e-" : "e+", 2);
        if (abs(power) < 10)
            put_char(output, '0');
        put_unsigned(output, (uint64_t)abs(power));
    } else if (point <= 0) {
        put_bytes(output, "0.000", (size_t)(2 - point));
        put_bytes(output, start, (size_t)length);
    } else {
        put_bytes(output, start, (size_t)(point < length ? point : length));
        for (int index = length; index < point; index++)
            put_char(output, '0');
        put_char(output, '.');
        if (point < length)
            put_bytes(output, start + point, (size_t)(length - point));
        else
            put_char(output, '0');
    }
}

/* The first 64 bits of a product of 192; the last of them is set when anything follows that can matter. */
static uint64_t multiply_to_odd(Power power, uint64_t factor)
{
    unsigned __int128 low = (unsigned __int128)power.low * factor;
    unsigned __int128 high = (unsigned __int128)power.high * factor + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* Find the shortest decimal of significand * 2^exponent; of several the closest. */
static uint64_t shortest(uint64_t significand, int exponent, bool is_lower_closer, int *decimal_exponent)
{
    bool is_odd = significand & 1;
    int k = (exponent * 1262611 - (is_lower_closer ? 524031 : 0)) >> 22;
    int shift = exponent + log2_of_power(-k) + 1;
    Power power = powers[-k - MIN_POWER];
    uint64_t lower = multiply_to_odd(power, (4 * significand - 2 + is_lower_closer) << shift) + is_odd;
    uint64_t middle = multiply_to_odd(power, (4 * significand) << shift);
    uint64_t upper = multiply_to_odd(power, (4 * significand + 2) << shift) - is_odd;
    uint64_t digits = middle / 4, tens = digits / 10;
    *decimal_exponent = k + 1;
    if (digits >= 10 && (lower <= 40 * tens) != (40 * tens + 40 <= upper))
        return tens + (40 * tens + 40 <= upper);
    *decimal_exponent = k;
    if ((lower <= 4 * digits) != (4 * digits + 4 <= upper))
        return digits + (4 * digits + 4 <= upper);
    return digits + (middle > 4 * digits + 2 || (middle == 4 * digits + 2 && (digits & 1)));
}

/* Write what is no number, or zero. */
static bool put_odd(Output *output, double value)
{
    if (isnan(value))
        PUT_LITERAL(output, "\"NaN\"");
    else if (isinf(value) && value > 0)
        PUT_LITERAL(output, "\"Infinity\"");
    else if (isinf(value))
        PUT_LITERAL(output, "\"-Infinity\"");
    else if (value == 0)
        put_decimal(output, signbit(value), 0, 0);
    else
        return false;
    return true;
}

void put_double(Output *output, double value)
{
    if (put_odd(output, value))
        return;
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    int biased = (int)(bits >> 52 & 0x7ff), exponent = biased == 0 ? -1074 : biased - 1075, decimal_exponent;
    uint64_t significand = biased == 0 ? fraction : fraction | (uint64_t)1 << 52;
    if (exponent <= 0 && exponent > -53 && (significand & (((uint64_t)1 << -exponent) - 1)) == 0) {
        put_decimal(output, value < 0, significand >> -exponent, 0);
        return;
    }
    uint64_t digits = shortest(significand, exponent, fraction == 0 && biased > 1, &decimal_exponent);
    put_decimal(output, value < 0, digits, decimal_exponent);
}

/* 32-bit floats */

/* Return significand * 2^exponent * 10^power, below 2^31, with 32 bits behind the point, of which the last may be off. */
static uint64_t scale(uint32_t significand, int exponent, int power)
{
    int shift = 31 - exponent - log2_of_power(power);
    return (uint64_t)((unsigned __int128)powers[power - MIN_POWER].high * significand >> shift);
}

/* Whether two of these numbers are so close that `scale` cannot tell which is larger. */
static bool is_close(uint64_t one, uint64_t other)
{
    return one - other + 16 <= 32;
}

/* What `put_float` promises, as its plain counterpart (`short_floats.py`) has it. */
static void put_float_slowly(Output *output, float value)
{
    double wide = value;
    for (int digits = 6; digits < 10; digits++) {
        char text[32];
        PyOS_snprintf(text, sizeof(text), "%.*g", digits, wide);
        double candidate = PyOS_string_to_double(text, NULL, NULL);
        if (candidate == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            output->failed = true;
            return;
        }
        if (fabs(candidate) <= FLT_MAX && (float)candidate == value) {
            wide = candidate;
            break;
        }
    }
    put_double(output, wide);
}

void put_float(Output *output, float value)
{
    if (put_odd(output, value))
        return;
    const uint64_t one = (uint64_t)1 << 32;
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t fraction = bits & 0x7fffff, biased = bits >> 23 & 0xff;
    uint32_t significand = biased == 0 ? fraction : fraction | 0x800000;
    uint32_t below = fraction == 0 && biased > 1 ? 1 : 2; /* quarters of a step down to the next value's half */
    int exponent = (biased == 0 ? -149 : (int)biased - 150) - 2;
    /* Of ten to the power of this the value is a multiple; it may be one too low at first. */
    int leading = log10_of_two(exponent + 2 + 31 - __builtin_clz(significand));
    leading += scale(4 * significand, exponent, 5 - leading) >= 1000000 * one;
    for (int digits = 6; digits < 10 && fabsf(value) < FLT_MAX; digits++) {
        int power = digits - 1 - leading;
        uint64_t middle = scale(4 * significand, exponent, power), rounded = (middle + one / 2) / one * one;
        uint64_t lower = scale(4 * significand - below, exponent, power);
        uint64_t upper = scale(4 * significand + 2, exponent, power);
        if (is_close(middle + one / 2, rounded) || is_close(middle + one / 2, rounded + one) ||
            is_close(rounded, lower) || is_close(rounded, upper))
            break;
        if (rounded > lower && rounded < upper) {
            put_decimal(output, value < 0, rounded / one, -power);
            return;
        }
    }
    put_float_slowly(output, value);
}
