"""From backscatter of single dates to its variation through time."""


rule vary_backscatter:
    input:
        grid="<results>/{region}/grid.json",
        geometry="<results>/{region}/{track}/geometry.zarr",
        images=backscatter_of_track,
    output:
        factors=directory("<results>/{region}/{track}/backscatter.zarr"),
    log:
        "<results>/{region}/{track}/logs/vary_backscatter.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/vary_backscatter.tsv"
    wildcard_constraints:
        track=only(PRODUCTS),
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(2000, 0.2),
        runtime=minutes(10, 0.5),
    params:
        months=setting("backscatter"),
        code=digest("backscatter", "bands", "readers.stack"),
    message:
        "{wildcards.region}/{wildcards.track}: backscatter through time"
    script:
        "../../scripts/vary_backscatter.py"


use rule vary_backscatter as vary_cross with:
    input:
        grid="<results>/{region}/grid.json",
        geometry="<results>/{region}/{track}/geometry.zarr",
        images=cross_of_track,
    output:
        factors=directory("<results>/{region}/{track}/backscatter_cross.zarr"),
    log:
        "<results>/{region}/{track}/logs/vary_cross.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/vary_cross.tsv"
    message:
        "{wildcards.region}/{wildcards.track}: cross-polarised backscatter through time"


rule combine_backscatter:
    input:
        grid="<results>/{region}/grid.json",
        tracks=every_track("backscatter.zarr", but=WITHOUT_BACKSCATTER),
    output:
        factors=directory("<results>/{region}/backscatter.zarr"),
    log:
        "<results>/{region}/logs/combine_backscatter.log",
    benchmark:
        "<results>/{region}/benchmarks/combine_backscatter.tsv"
    group:
        "maps"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1000, 0.2),
        runtime=minutes(5, 0.2),
    params:
        code=digest("backscatter"),
    message:
        "{wildcards.region}: backscatter of all tracks"
    script:
        "../../scripts/combine_backscatter.py"
