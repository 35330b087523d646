"""The region's grid and its terrain."""


rule define_grid:
    input:
        sources=sources,
        scenes=ancient(placing_tables),
        images=ancient(image_grids),
    output:
        grid="<results>/{region}/grid.json",
    log:
        "<results>/{region}/logs/define_grid.log",
    benchmark:
        "<results>/{region}/benchmarks/define_grid.tsv"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(500, 20),
        runtime=minutes(5, 1),
    params:
        tracks=places,
        step_pixels=place_step,
        area=setting("area"),
        crs=setting("grid/crs"),
        spacing_m=setting("grid/spacing_m"),
        files=source_state,
        code=reader_digest,
    message:
        "{wildcards.region}: the grid"
    script:
        "../../scripts/define_grid.py"


rule warp_dem:
    input:
        grid="<results>/{region}/grid.json",
        dem=file_setting("dem"),
    output:
        dem="<results>/{region}/dem.tif",
    log:
        "<results>/{region}/logs/warp_dem.log",
    benchmark:
        "<results>/{region}/benchmarks/warp_dem.tsv"
    wildcard_constraints:
        region=with_dem(True),
    group:
        "terrain"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(800, 50),
        runtime=minutes(5, 1),
    params:
        code=digest("terrain"),
    message:
        "{wildcards.region}: elevation from its DEM"
    script:
        "../../scripts/warp_dem.py"


rule borrow_heights:
    input:
        grid="<results>/{region}/grid.json",
        geometry=every_track("geometry.zarr"),
    output:
        dem="<results>/{region}/dem.tif",
    log:
        "<results>/{region}/logs/borrow_heights.log",
    benchmark:
        "<results>/{region}/benchmarks/borrow_heights.tsv"
    wildcard_constraints:
        region=with_dem(False),
    group:
        "terrain"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(800, 50),
        runtime=minutes(5, 1),
    params:
        code=digest("io"),
    message:
        "{wildcards.region}: elevation from its tracks"
    script:
        "../../scripts/borrow_heights.py"


rule prepare_terrain:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
    output:
        terrain=directory("<results>/{region}/terrain.zarr"),
    log:
        "<results>/{region}/logs/prepare_terrain.log",
    benchmark:
        "<results>/{region}/benchmarks/prepare_terrain.tsv"
    group:
        "terrain"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(800, 50),
        runtime=minutes(5, 1),
    params:
        smooth_dem_m=setting("downslope/smooth_dem_m"),
        code=digest("terrain"),
    message:
        "{wildcards.region}: slope and aspect"
    script:
        "../../scripts/prepare_terrain.py"


rule trace_sight:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        geometry="<results>/{region}/{track}/geometry.zarr",
    output:
        sight="<results>/{region}/{track}/line_of_sight.tif",
    log:
        "<results>/{region}/{track}/logs/trace_sight.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/trace_sight.tsv"
    group:
        "terrain"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(800, 50),
        runtime=minutes(5, 5),
    params:
        code=digest("downslope"),
    message:
        "{wildcards.region}/{wildcards.track}: line of sight, layover and shadow"
    script:
        "../../scripts/trace_sight.py"
