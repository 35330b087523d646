"""Geocoded images of a track that this workflow made elsewhere: their interferograms, backscatter.

The folder is that of a track: `slc/`, `geometry.zarr`, `layout.zarr` and `scenes.csv`, on the grid
of this region.
"""


rule borrow_images:
    input:
        grid="<results>/{region}/grid.json",
        made=made(source),
    output:
        scenes="<results>/{region}/{track}/scenes.csv",
        rejected="<results>/{region}/{track}/rejected_scenes.csv",
        geometry=directory("<results>/{region}/{track}/geometry.zarr"),
    log:
        "<results>/{region}/{track}/logs/borrow_images.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/borrow_images.tsv"
    wildcard_constraints:
        track=only(IMAGES),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(10, 0),
    params:
        folder=source,
        looks=setting("tracks/{track}/looks"),
        period=setting("period"),
        on_bad_input=setting("on_bad_input"),
        files=source_state,
        code=digest("sentinel1.borrowed", "readers.assemble"),
    message:
        "{wildcards.region}/{wildcards.track}: looking at the geocoded images"
    script:
        "../../scripts/borrow_images.py"


use rule interfere_pair as interfere_images with:
    input:
        grid="<results>/{region}/grid.json",
        geometry="<results>/{region}/{track}/geometry.zarr",
        made=made(source),
    wildcard_constraints:
        track=only(IMAGES),
    params:
        images=geocoded_images(source, "reference", "secondary"),
        files=state_of_images("reference", "secondary"),
        looks=setting("tracks/{track}/looks"),
        goldstein=setting("tracks/{track}/goldstein"),
        unwrapper=setting("tracks/{track}/unwrapper"),
        min_coherence=setting("tracks/{track}/min_coherence"),
        code=digest("sentinel1.engine", "sentinel1.unwrapping"),


rule flatten_images:
    input:
        grid="<results>/{region}/grid.json",
        geometry="<results>/{region}/{track}/geometry.zarr",
        made=made(source),
    output:
        backscatter="<results>/{region}/{track}/backscatter/{date}.tif",
    log:
        "<results>/{region}/{track}/logs/flatten_images_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/flatten_images_{date}.tsv"
    wildcard_constraints:
        track=only(IMAGES),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(10, 0),
    params:
        images=geocoded_images(source, "date"),
        files=state_of_images("date"),
        folder=source,
        looks=setting("tracks/{track}/looks"),
        code=digest("sentinel1.engine"),
    message:
        "{wildcards.region}/{wildcards.track}: backscatter of {wildcards.date}"
    script:
        "../../scripts/flatten_images.py"
