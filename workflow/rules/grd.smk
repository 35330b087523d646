"""From GRD products to terrain-flattened backscatter.

A date is one job. What a job depends on are its own rows of `scenes.csv`, as parameters, so that
another date makes no finished one run again.
"""


checkpoint check_grd:
    input:
        scenes=scene_folder,
        orbits=orbit_folder,
        dem=scene_dem,
    output:
        scenes="<results>/{region}/{track}/scenes.csv",
        rejected="<results>/{region}/{track}/rejected_scenes.csv",
    log:
        "<results>/{region}/{track}/logs/check_grd.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/check_grd.tsv"
    wildcard_constraints:
        track=only(GRD),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1000, 0.1),
        runtime=minutes(10, 0.2),
    params:
        polarisation=setting("tracks/{track}/polarisation"),
        area=setting("area"),
        period=setting("period"),
        on_bad_input=setting("on_bad_input"),
        files=source_state,
        code=digest("sentinel1.slices", "sentinel1.heights", "readers.assemble"),
    message:
        "{wildcards.region}/{wildcards.track}: looking at the products"
    script:
        "../../scripts/check_grd.py"


rule lay_out_grd:
    input:
        grid="<results>/{region}/grid.json",
        dem=scene_dem,
        scenes=ancient(usable_scenes),
    output:
        layout=directory("<results>/{region}/{track}/layout.zarr"),
        geometry=directory("<results>/{region}/{track}/geometry.zarr"),
    log:
        "<results>/{region}/{track}/logs/lay_out_grd.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/lay_out_grd.tsv"
    wildcard_constraints:
        track=only(GRD),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(2000, 0.2),
        runtime=minutes(10, 0.5),
    params:
        slices=slices_of_first,
        files=products_of_first,
        looks=setting("tracks/{track}/looks"),
        dem_datum=dem_datum,
        geoid=setting("geoid"),
        code=digest("sentinel1.detected", "sentinel1.heights"),
    message:
        "{wildcards.region}/{wildcards.track}: line of sight, and the area lit"
    script:
        "../../scripts/lay_out_grd.py"


rule flatten_grd:
    input:
        grid="<results>/{region}/grid.json",
        dem=scene_dem,
        geometry="<results>/{region}/{track}/geometry.zarr",
        layout="<results>/{region}/{track}/layout.zarr",
        scenes=ancient(usable_scenes),
    output:
        backscatter="<results>/{region}/{track}/backscatter/{date}.tif",
    log:
        "<results>/{region}/{track}/logs/flatten_grd_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/flatten_grd_{date}.tsv"
    wildcard_constraints:
        track=only(GRD),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(2500, 0),
        runtime=minutes(15, 0.5),
    params:
        slices=slices_of_date,
        files=products_of_date,
        crossed=False,
        looks=setting("tracks/{track}/looks"),
        dem_datum=dem_datum,
        geoid=setting("geoid"),
        code=digest("sentinel1.detected", "sentinel1.heights"),
    message:
        "{wildcards.region}/{wildcards.track}: backscatter of {wildcards.date}"
    script:
        "../../scripts/flatten_grd.py"


use rule flatten_grd as flatten_grd_cross with:
    output:
        backscatter="<results>/{region}/{track}/backscatter_cross/{date}.tif",
    log:
        "<results>/{region}/{track}/logs/flatten_grd_cross_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/flatten_grd_cross_{date}.tsv"
    params:
        crossed=True,
    message:
        "{wildcards.region}/{wildcards.track}: cross-polarised backscatter of {wildcards.date}"
