"""From optical scenes of surface reflectance to the snow index of each date and its factors.

A date is one job. What it depends on are its own scenes, as parameters, so that another scene makes
no finished date run again.
"""


checkpoint check_optical:
    input:
        folder=optical_folder,
        grid=ancient("<results>/{region}/grid.json"),
    output:
        scenes="<results>/{region}/snow/{optical}/scenes.csv",
        rejected="<results>/{region}/snow/{optical}/rejected_scenes.csv",
    log:
        "<results>/{region}/snow/{optical}/logs/check_optical.log",
    benchmark:
        "<results>/{region}/snow/{optical}/benchmarks/check_optical.tsv"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(800, 0),
        runtime=minutes(10, 0),
    params:
        source=lambda w: optical_of(w)["source"],
        period=setting("period"),
        on_bad_input=setting("on_bad_input"),
        files=optical_state,
        code=optical_digest("optical.screening"),
    message:
        "{wildcards.region}/{wildcards.optical}: looking at the surface reflectance"
    script:
        "../../scripts/check_optical.py"


rule index_snow:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        made=made(optical_folder),
    output:
        index="<results>/{region}/snow/{optical}/{date}.tif",
    log:
        "<results>/{region}/snow/{optical}/logs/index_snow_{date}.log",
    benchmark:
        "<results>/{region}/snow/{optical}/benchmarks/index_snow_{date}.tsv"
    wildcard_constraints:
        date=r"\d{8}",
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(10, 0),
    params:
        scenes=scenes_of_date,
        files=state_of_scenes,
        source=lambda w: optical_of(w)["source"],
        code=optical_digest("optical.reflectance"),
    message:
        "{wildcards.region}/{wildcards.optical}: snow index of {wildcards.date}"
    script:
        "../../scripts/index_snow.py"


rule vary_snow:
    input:
        grid="<results>/{region}/grid.json",
        images=snow_indices,
    output:
        factors=directory("<results>/{region}/snow.zarr"),
    log:
        "<results>/{region}/logs/vary_snow.log",
    benchmark:
        "<results>/{region}/benchmarks/vary_snow.tsv"
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(2000, 0),
        runtime=minutes(30, 0),
    params:
        snow=setting("snow"),
        code=digest("snow", "bands"),
    message:
        "{wildcards.region}: snow through time"
    script:
        "../../scripts/vary_snow.py"


rule plot_snow:
    input:
        grid="<results>/{region}/grid.json",
        factors="<results>/{region}/snow.zarr",
        dem="<results>/{region}/dem.tif",
    output:
        figure=report(
            "<results>/{region}/figures/snow.png",
            category="{region}",
            labels={"track": "all", "figure": "snow"},
        ),
    log:
        "<results>/{region}/logs/plot_snow.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_snow.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 0),
        runtime=minutes(5, 0),
    params:
        title=setting("name"),
        code=digest("figures"),
    message:
        "{wildcards.region}: figure of the snow"
    script:
        "../../scripts/plot_snow.py"
