/* Finding a model by name. Must not read configuration: catalogs are built by gateway/config. */
#include "model/catalog.h"

const struct catalog_model *catalog_find(const struct catalog *catalog, dr_slice name) {
    const struct catalog_model *best = dr_map_find(&catalog->by_name, name);
    if (best) return best;

    for (size_t i = 0; i < catalog->model_count; i++) {
        const struct catalog_model *model = &catalog->models[i];
        if (!dr_slice_ends(model->name, DR_LIT("*"))) continue;
        if (!dr_slice_starts(name, dr_slice_first(model->name, model->name.len - 1))) continue;
        if (!best || model->name.len > best->name.len) best = model;
    }
    return best;
}
