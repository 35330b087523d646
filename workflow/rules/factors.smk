"""From all products of a region to factors, side by side on its grid."""


rule describe_relief:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
    output:
        relief=directory("<results>/{region}/relief.zarr"),
    log:
        "<results>/{region}/logs/describe_relief.log",
    benchmark:
        "<results>/{region}/benchmarks/describe_relief.tsv"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=minutes(20, 5),
    params:
        relief=setting("relief"),
        code=digest("relief", "sunlight"),
    message:
        "{wildcards.region}: shape of the ground and its sunlight"
    script:
        "../../scripts/describe_relief.py"


rule measure_glaciers:
    input:
        grid="<results>/{region}/grid.json",
        outlines=file_setting("glaciers"),
    output:
        glaciers=directory("<results>/{region}/glaciers.zarr"),
    log:
        "<results>/{region}/logs/measure_glaciers.log",
    benchmark:
        "<results>/{region}/benchmarks/measure_glaciers.tsv"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(5, 1),
    params:
        code=digest("glaciers"),
    message:
        "{wildcards.region}: glacier outlines"
    script:
        "../../scripts/measure_glaciers.py"


rule read_climate:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        files=climate_files,
    output:
        climate=directory("<results>/{region}/climate.zarr"),
        series="<results>/{region}/climate.csv",
    log:
        "<results>/{region}/logs/read_climate.log",
    benchmark:
        "<results>/{region}/benchmarks/read_climate.tsv"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(5, 1),
    params:
        climate=setting("climate"),
        code=digest("climate"),
    message:
        "{wildcards.region}: air temperature"
    script:
        "../../scripts/read_climate.py"


rule gather_factors:
    input:
        grid="<results>/{region}/grid.json",
        relief="<results>/{region}/relief.zarr",
        glaciers=region_product("glaciers.zarr", "glaciers"),
        climate=region_product("climate.zarr", "climate"),
        velocity=region_velocity,
        tracks=every_track("velocity.tif", but=GRD),
        stacks=every_track("unwrapped.zarr", but=["displacement", *GRD]),
        offsets=every_images("velocity.tif"),
        backscatter=region_backscatter,
        snow=snow_factors,
    output:
        factors=directory("<results>/{region}/factors.zarr"),
    log:
        "<results>/{region}/logs/gather_factors.log",
    benchmark:
        "<results>/{region}/benchmarks/gather_factors.tsv"
    group:
        "maps"
    conda:
        "../../envs/insar.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(1500, 5),
        runtime=minutes(10, 1),
    params:
        support_m=setting("factors_of_m"),
        offsets_sigmas=setting("joining/offsets_sigmas"),
        code=digest("factors", "joining"),
    message:
        "{wildcards.region}: factors"
    script:
        "../../scripts/gather_factors.py"


rule plot_factors:
    input:
        grid="<results>/{region}/grid.json",
        factors="<results>/{region}/factors.zarr",
    output:
        figure=report(
            "<results>/{region}/figures/factors.png",
            category="{region}",
            labels={"track": "all", "figure": "factors"},
        ),
    log:
        "<results>/{region}/logs/plot_factors.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_factors.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(5, 0),
    params:
        title=setting("name"),
        code=digest("figures"),
    message:
        "{wildcards.region}: page of factors"
    script:
        "../../scripts/plot_factors.py"
