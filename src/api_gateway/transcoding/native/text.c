#include "text.h"

static inline bool has_special(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
    uint64_t low = word - ones * 0x20;
    return ((low | (quote - ones) | (backslash - ones) | word) & highs) != 0;
}

static inline bool is_special(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\' || byte >= 0x80;
}

const char *find_special(const char *start, const char *end)
{
    while (end - start >= 8) {
        uint64_t word;
        memcpy(&word, start, 8);
        if (has_special(word))
            break;
        start += 8;
    }
    while (start < end && !is_special((uint8_t)*start))
        start++;
    return start;
}

/* Return the length of the UTF-8 sequence that begins at `text`, 0 when it is none. */
static size_t sequence_length(const uint8_t *text, size_t left)
{
    uint8_t first = text[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < length)
        return 0;
    for (size_t index = 1; index < length; index++)
        if ((text[index] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) || (first == 0xf0 && text[1] < 0x90) ||
        (first == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

bool is_utf8(const char *text, size_t length)
{
    size_t position = 0;
    while (position < length) {
        size_t step = sequence_length((const uint8_t *)text + position, length - position);
        if (step == 0)
            return false;
        position += step;
    }
    return true;
}

static void put_escape(Output *output, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    switch (byte) {
    case '"': PUT_LITERAL(output, "\\\""); return;
    case '\\': PUT_LITERAL(output, "\\\\"); return;
    case '\b': PUT_LITERAL(output, "\\b"); return;
    case '\f': PUT_LITERAL(output, "\\f"); return;
    case '\n': PUT_LITERAL(output, "\\n"); return;
    case '\r': PUT_LITERAL(output, "\\r"); return;
    case '\t': PUT_LITERAL(output, "\\t"); return;
    default: put_bytes(output, escape, sizeof(escape));
    }
}

bool put_json_string(Output *output, const char *text, size_t length)
{
    const char *end = text + length;
    put_char(output, '"');
    while (text < end) {
        const char *special = find_special(text, end);
        put_bytes(output, text, (size_t)(special - text));
        text = special;
        while (text < end && (uint8_t)*text >= 0x80) {
            size_t step = sequence_length((const uint8_t *)text, (size_t)(end - text));
            if (step == 0)
                return false;
            put_bytes(output, text, step);
            text += step;
        }
        while (text < end && (uint8_t)*text < 0x80 && is_special((uint8_t)*text))
            put_escape(output, (uint8_t)*text++);
    }
    put_char(output, '"');
    return true;
}

static bool read_hex(const char *text, const char *end, uint32_t *value)
{
    if (end - text < 4)
        return false;
    *value = 0;
    for (int index = 0; index < 4; index++) {
        uint8_t digit = (uint8_t)text[index];
        if (digit >= '0' && digit <= '9')
            digit -= '0';
        else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
            digit = (uint8_t)((digit | 0x20) - 'a' + 10);
        else
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

static void put_code_point(Output *output, uint32_t point)
{
    if (point < 0x80) {
        put_char(output, (char)point);
    } else if (point < 0x800) {
        char bytes[2] = {(char)(0xc0 | point >> 6), (char)(0x80 | (point & 0x3f))};
        put_bytes(output, bytes, 2);
    } else if (point < 0x10000) {
        char bytes[3] = {(char)(0xe0 | point >> 12), (char)(0x80 | (point >> 6 & 0x3f)), (char)(0x80 | (point & 0x3f))};
        put_bytes(output, bytes, 3);
    } else {
        char bytes[4] = {(char)(0xf0 | point >> 18), (char)(0x80 | (point >> 12 & 0x3f)),
                         (char)(0x80 | (point >> 6 & 0x3f)), (char)(0x80 | (point & 0x3f))};
        put_bytes(output, bytes, 4);
    }
}

/* Read one escape after its backslash; return what follows it, NULL when it is broken. */
static const char *put_escaped(Output *output, const char *text, const char *end)
{
    static const char short_forms[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (text == end)
        return NULL;
    if (*text != 'u') {
        const char *form = *text != '\0' ? strchr(short_forms, *text) : NULL;
        if (form == NULL)
            return NULL;
        put_char(output, meanings[form - short_forms]);
        return text + 1;
    }
    uint32_t point, low;
    if (!read_hex(text + 1, end, &point))
        return NULL;
    text += 5;
    if (point >= 0xd800 && point <= 0xdfff) {
        if (point > 0xdbff || end - text < 6 || text[0] != '\\' || text[1] != 'u' || !read_hex(text + 2, end, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return NULL;
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        text += 6;
    }
    put_code_point(output, point);
    return text;
}

bool put_unescaped(Output *output, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        const char *special = find_special(text, end);
        put_bytes(output, text, (size_t)(special - text));
        text = special;
        if (text == end)
            break;
        if (*text == '\\') {
            text = put_escaped(output, text + 1, end);
            if (text == NULL)
                return false;
            continue;
        }
        size_t step = (uint8_t)*text >= 0x80 ? sequence_length((const uint8_t *)text, (size_t)(end - text)) : 0;
        if (step == 0)
            return false;
        put_bytes(output, text, step);
        text += step;
    }
    return true;
}

/* Base64 */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void put_base64(Output *output, const uint8_t *data, size_t length)
{
    size_t size = (length + 2) / 3 * 4;
    if (!output_reserve(output, size))
        return;
    char *target = output->data + output->length;
    for (; length >= 3; data += 3, length -= 3) {
        uint32_t group = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *target++ = base64_digits[group >> shift & 63];
    }
    if (length > 0) {
        uint32_t group = (uint32_t)data[0] << 16 | (length == 2 ? (uint32_t)data[1] << 8 : 0);
        *target++ = base64_digits[group >> 18 & 63];
        *target++ = base64_digits[group >> 12 & 63];
        *target++ = length == 2 ? base64_digits[group >> 6 & 63] : '=';
        *target++ = '=';
    }
    output->length += size;
}

static int base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool put_base64_decoded(Output *output, const char *text, size_t length)
{
    if (length % 4 != 0 || !output_reserve(output, length / 4 * 3))
        return false;
    for (size_t position = 0; position < length; position += 4) {
        bool is_last = position + 4 == length;
        size_t padding = !is_last || text[position + 3] != '=' ? 0 : text[position + 2] != '=' ? 1 : 2;
        uint32_t group = 0;
        for (size_t index = 0; index < 4; index++) {
            int value = index >= 4 - padding ? 0 : base64_value(text[position + index]);
            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0))
            return false;
        for (size_t index = 0; index < 3 - padding; index++)
            output->data[output->length++] = (char)(group >> (16 - 8 * index) & 0xff);
    }
    return true;
}

/* Numbers */

void put_unsigned(Output *output, uint64_t value)
{
    char digits[20];
    size_t position = sizeof(digits);
    do {
        digits[--position] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put_bytes(output, digits + position, sizeof(digits) - position);
}

void put_signed(Output *output, int64_t value)
{
    if (value < 0)
        put_char(output, '-');
    put_unsigned(output, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void put_padded(Output *output, uint32_t value, int width)
{
    char digits[10];
    for (int index = width - 1; index >= 0; index--, value /= 10)
        digits[index] = (char)('0' + value % 10);
    put_bytes(output, digits, (size_t)width);
}

/* Nothing, or a point and three, six or nine digits. */
static void put_fraction(Output *output, uint32_t nanos)
{
    if (nanos == 0)
        return;
    put_char(output, '.');
    if (nanos % 1000000 == 0)
        put_padded(output, nanos / 1000000, 3);
    else if (nanos % 1000 == 0)
        put_padded(output, nanos / 1000, 6);
    else
        put_padded(output, nanos, 9);
}

static bool read_digits(const char *text, int width, int64_t *value)
{
    *value = 0;
    for (int index = 0; index < width; index++) {
        if (text[index] < '0' || text[index] > '9')
            return false;
        *value = *value * 10 + (text[index] - '0');
    }
    return true;
}

/* Read `.123` up to the end of the text as nanoseconds: one to nine digits. */
static bool read_fraction(const char *text, size_t length, int32_t *nanos)
{
    int64_t value;
    if (length < 2 || length > 10 || text[0] != '.' || !read_digits(text + 1, (int)length - 1, &value))
        return false;
    for (size_t index = length; index < 10; index++)
        value *= 10;
    *nanos = (int32_t)value;
    return true;
}

/* Time */

static const int64_t min_seconds = -62135596800, max_seconds = 253402300799;
static const int64_t max_duration_seconds = 315576000000;
static const int64_t seconds_a_day = 86400;

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, and back: years begin in March, 400 of them are
   an era of 146,097 days. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    int64_t era = days / 146097, day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

bool put_timestamp(Output *output, int64_t seconds, int32_t nanos)
{
    if (seconds < min_seconds || seconds > max_seconds || nanos < 0 || nanos > 999999999)
        return false;
    int64_t days = seconds / seconds_a_day, rest = seconds % seconds_a_day, year, month, day;
    if (rest < 0) {
        rest += seconds_a_day;
        days--;
    }
    date_of(days, &year, &month, &day);
    put_char(output, '"');
    put_padded(output, (uint32_t)year, 4);
    put_char(output, '-');
    put_padded(output, (uint32_t)month, 2);
    put_char(output, '-');
    put_padded(output, (uint32_t)day, 2);
    put_char(output, 'T');
    put_padded(output, (uint32_t)(rest / 3600), 2);
    put_char(output, ':');
    put_padded(output, (uint32_t)(rest / 60 % 60), 2);
    put_char(output, ':');
    put_padded(output, (uint32_t)(rest % 60), 2);
    put_fraction(output, (uint32_t)nanos);
    PUT_LITERAL(output, "Z\"");
    return true;
}

bool read_timestamp(const char *text, size_t length, int64_t *seconds, int32_t *nanos)
{
    int64_t year, month, day, hour, minute, second;
    static const int days_in_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (length < 20 || length > 30 || text[length - 1] != 'Z' || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
        text[13] != ':' || text[16] != ':')
        return false;
    if (!read_digits(text, 4, &year) || !read_digits(text + 5, 2, &month) || !read_digits(text + 8, 2, &day) ||
        !read_digits(text + 11, 2, &hour) || !read_digits(text + 14, 2, &minute) || !read_digits(text + 17, 2, &second))
        return false;
    if (year < 1 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > days_in_month[month - 1] + (month == 2 && is_leap))
        return false;
    *nanos = 0;
    if (length > 20 && !read_fraction(text + 19, length - 20, nanos))
        return false;
    *seconds = days_of(year, month, day) * seconds_a_day + hour * 3600 + minute * 60 + second;
    return true;
}

bool put_duration(Output *output, int64_t seconds, int32_t nanos)
{
    if (seconds < -max_duration_seconds || seconds > max_duration_seconds || nanos < -999999999 || nanos > 999999999 ||
        (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return false;
    put_char(output, '"');
    if (seconds < 0 || nanos < 0)
        put_char(output, '-');
    put_unsigned(output, (uint64_t)(seconds < 0 ? -seconds : seconds));
    put_fraction(output, (uint32_t)(nanos < 0 ? -nanos : nanos));
    PUT_LITERAL(output, "s\"");
    return true;
}

bool read_duration(const char *text, size_t length, int64_t *seconds, int32_t *nanos)
{
    bool is_negative = length > 0 && text[0] == '-';
    text += is_negative;
    length -= is_negative;
    size_t whole = 0;
    while (whole < length && text[whole] >= '0' && text[whole] <= '9')
        whole++;
    if (whole == 0 || whole > 12 || length < whole + 1 || text[length - 1] != 's' ||
        !read_digits(text, (int)whole, seconds) || *seconds > max_duration_seconds)
        return false;
    *nanos = 0;
    if (length > whole + 1 && !read_fraction(text + whole, length - whole - 1, nanos))
        return false;
    if (is_negative) {
        *seconds = -*seconds;
        *nanos = -*nanos;
    }
    return true;
}
