/* Sums for `drover usage` and the account's own view, from the totals by day: cheap, whatever the
 * number of exchanges. */
#include "store/store_sqlite.h"

#include "base/assert.h"
#include "base/buf.h"

#include <sqlite3.h>

enum { DAY_MS = 24 * 60 * 60 * 1000, SQL_BYTES_MAX = 4096, COLUMN_TOTALS = 6 };

static int64_t day_from(dr_wall from) {
    if (from.ms == 0) return INT64_MIN;
    return from.ms / DAY_MS - (from.ms % DAY_MS < 0 ? 1 : 0);
}

/* Exclusive: the day that `to` lies in is counted unless `to` is its very beginning. */
static int64_t day_to(dr_wall to) {
    if (to.ms == 0) return INT64_MAX;
    return to.ms / DAY_MS + (to.ms % DAY_MS > 0 ? 1 : 0);
}

/* Columns that are not grouped by are constants, so that each total is read in one way. */
static void put_query(struct dr_buf *sql, unsigned groups) {
    const bool by_account = groups & STORE_BY_ACCOUNT;
    const bool by_key = groups & STORE_BY_KEY;
    const bool by_model = groups & STORE_BY_MODEL;
    const bool by_day = groups & STORE_BY_DAY;
    dr_buf_format(sql, "SELECT %s, %s, %s, %s, %s, %s,", by_account ? "total.account_id" : "''",
                  by_account ? "coalesce(account.name, '')" : "''", by_key ? "total.key_id" : "''",
                  by_key ? "coalesce(api_key.name, '')" : "''", by_model ? "total.model" : "''",
                  by_day ? "total.day" : "NULL");
    dr_buf_put(sql, DR_LIT(" sum_saturated(requests), sum_saturated(prompt_tokens),"
                           " sum_saturated(completion_tokens), sum_saturated(total_tokens),"
                           " sum_saturated(cached_tokens), sum_saturated(cost_nanousd)"
                           " FROM total"));
    if (by_account) {
        dr_buf_put(sql, DR_LIT(" LEFT JOIN account ON account.id = total.account_id"));
    }
    if (by_key) dr_buf_put(sql, DR_LIT(" LEFT JOIN api_key ON api_key.id = total.key_id"));
    dr_buf_put(sql, DR_LIT(" WHERE day >= ?1 AND day < ?2"
                           " AND (?3 = '' OR total.account_id = ?3)"
                           " AND (?4 = '' OR key_id = ?4) AND (?5 = '' OR model = ?5)"));
    /* In the order of the columns, days first, as a reader expects. */
    const char *names[] = {by_day ? "day" : NULL, by_account ? "total.account_id" : NULL,
                           by_key ? "key_id" : NULL, by_model ? "model" : NULL};
    for (size_t pass = 0; groups != 0 && pass < 2; pass++) {
        const char *separator = "";
        dr_buf_put(sql, pass == 0 ? DR_LIT(" GROUP BY ") : DR_LIT(" ORDER BY "));
        for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
            if (!names[index]) continue;
            dr_buf_format(sql, "%s%s", separator, names[index]);
            separator = ", ";
        }
    }
    dr_buf_put_char(sql, '\0');
}

static void read_total(struct sqlite3_stmt *row, struct store_total *total) {
    *total = (struct store_total){
        .account_id = store_column(row, 0),
        .account_name = store_column(row, 1),
        .key_id = store_column(row, 2),
        .key_name = store_column(row, 3),
        .model = store_column(row, 4),
        .requests = (uint64_t)store_column_i64(row, COLUMN_TOTALS),
        .prompt_tokens = (uint64_t)store_column_i64(row, COLUMN_TOTALS + 1),
        .completion_tokens = (uint64_t)store_column_i64(row, COLUMN_TOTALS + 2),
        .total_tokens = (uint64_t)store_column_i64(row, COLUMN_TOTALS + 3),
        .cached_tokens = (uint64_t)store_column_i64(row, COLUMN_TOTALS + 4),
        .cost = {store_column_i64(row, COLUMN_TOTALS + 5)},
    };
    if (sqlite3_column_type(row, 5) != SQLITE_NULL) {
        char text[DR_WALL_TEXT_BYTES];
        dr_wall_format((dr_wall){store_column_i64(row, 5) * DAY_MS}, text);
        memcpy(total->day, text, sizeof(total->day) - 1);
    }
}

enum dr_status store_each_total(struct store *store, const struct store_filter *filter,
                                unsigned groups,
                                bool (*visit)(void *owner, const struct store_total *total),
                                void *owner, struct dr_error *error) {
    dr_assert(groups <= (STORE_BY_ACCOUNT | STORE_BY_KEY | STORE_BY_MODEL | STORE_BY_DAY));
    struct sqlite3_stmt *row = NULL;
    struct dr_buf sql;
    enum dr_status status = store_fold(store, error);
    if (status) return status;
    dr_buf_init(&sql, SQL_BYTES_MAX);
    put_query(&sql, groups);
    status = dr_buf_status(&sql);
    if (status) status = dr_fail(error, status, 0, "out of memory");
    if (!status) status = store_prepare(store, sql.data, &row, error);
    dr_buf_clear(&sql);
    if (status) return status;
    store_bind_i64(row, 1, day_from(filter->from));
    store_bind_i64(row, 2, day_to(filter->to));
    store_bind_text(row, 3, filter->account_id);
    store_bind_text(row, 4, filter->key_id);
    store_bind_text(row, 5, filter->model);
    for (status = store_step(store, row, error); !status; status = store_step(store, row, error)) {
        struct store_total total;
        read_total(row, &total);
        if (!visit(owner, &total)) break;
    }
    sqlite3_finalize(row);
    return status == DR_NOT_FOUND ? DR_OK : status;
}
