"""A region that is simulated from the ground up: what every sensor would see of one truth.

Its products lie in `landscape/`, where the region's file names them as it would any other source.
"""


rule make_landscape:
    input:
        grid="<results>/{region}/grid.json",
        relief=landscape_relief,
    output:
        ground=directory("<results>/{region}/landscape/ground.zarr"),
        objects="<results>/{region}/landscape/objects.gpkg",
        dem="<results>/{region}/landscape/dem.tif",
        inventory="<results>/{region}/landscape/inventory.gpkg",
        glaciers="<results>/{region}/landscape/glaciers.gpkg",
        air="<results>/{region}/landscape/air_temperature.csv",
    log:
        "<results>/{region}/logs/make_landscape.log",
    benchmark:
        "<results>/{region}/benchmarks/make_landscape.tsv"
    wildcard_constraints:
        region=with_landscape,
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(3000, 0),
        runtime=minutes(20, 0),
    params:
        seed=setting("landscape/seed"),
        code=digest("simulation_landscape"),
    message:
        "{wildcards.region}: simulating the ground"
    script:
        "../../scripts/make_landscape.py"


rule photograph_landscape:
    input:
        ground="<results>/{region}/landscape/ground.zarr",
        objects="<results>/{region}/landscape/objects.gpkg",
    output:
        level2=directory("<results>/{region}/landscape/landsat_level2"),
        level1=directory("<results>/{region}/landscape/landsat_level1"),
    log:
        "<results>/{region}/logs/photograph_landscape.log",
    benchmark:
        "<results>/{region}/benchmarks/photograph_landscape.tsv"
    wildcard_constraints:
        region=with_landscape,
    conda:
        "../../envs/insar.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(4000, 0),
        runtime=minutes(30, 0),
    params:
        years=setting("landscape/years"),
        code=digest("simulation_landscape_optical", "simulation_calendar"),
    message:
        "{wildcards.region}: simulating Landsat scenes"
    script:
        "../../scripts/photograph_landscape.py"


rule image_landscape:
    input:
        grid="<results>/{region}/grid.json",
        ground="<results>/{region}/landscape/ground.zarr",
        objects="<results>/{region}/landscape/objects.gpkg",
    output:
        images=directory("<results>/{region}/landscape/{direction}"),
    log:
        "<results>/{region}/logs/image_landscape_{direction}.log",
    benchmark:
        "<results>/{region}/benchmarks/image_landscape_{direction}.tsv"
    wildcard_constraints:
        region=with_landscape,
        direction="ascending|descending",
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(3000, 0),
        runtime=minutes(30, 0),
    params:
        years=setting("landscape/years"),
        seed=setting("landscape/seed"),
        code=digest("simulation_landscape_radar", "simulation_calendar"),
    message:
        "{wildcards.region}: simulating radar images, {wildcards.direction}"
    script:
        "../../scripts/image_landscape.py"


rule record_landscape:
    input:
        grid="<results>/{region}/grid.json",
        ground="<results>/{region}/landscape/ground.zarr",
        objects="<results>/{region}/landscape/objects.gpkg",
    output:
        raw=directory("<results>/{region}/{track}/raw"),
    log:
        "<results>/{region}/{track}/logs/record_landscape.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/record_landscape.tsv"
    wildcard_constraints:
        track=only(["landscape_scenes"]),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(3000, 0),
        runtime=minutes(30, 0),
    params:
        track=simulated_keys,
        seed=setting("landscape/seed"),
        code=digest("simulation_landscape_scenes"),
    message:
        "{wildcards.region}/{wildcards.track}: simulating raw scenes of the landscape"
    script:
        "../../scripts/record_landscape.py"
