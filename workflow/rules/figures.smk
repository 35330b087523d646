"""Figures of every track and region; `snakemake --report` collects them."""


rule plot_network:
    input:
        grid="<results>/{region}/grid.json",
        network="<results>/{region}/{track}/network.csv",
        cycles="<results>/{region}/{track}/cycles.zarr",
    output:
        network=report(
            "<results>/{region}/figures/{track}_network.png",
            category="{region}",
            labels={"track": "{track}", "figure": "network"},
        ),
        closure=report(
            "<results>/{region}/figures/{track}_closure.png",
            category="{region}",
            labels={"track": "{track}", "figure": "closures"},
        ),
    log:
        "<results>/{region}/{track}/logs/plot_network.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/plot_network.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(5, 1),
    params:
        title=title_of,
        code=digest("figures"),
    message:
        "{wildcards.region}/{wildcards.track}: figures of the network"
    script:
        "../../scripts/plot_network.py"


rule plot_geometry:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        terrain="<results>/{region}/terrain.zarr",
        sight="<results>/{region}/{track}/line_of_sight.tif",
    output:
        figure=report(
            "<results>/{region}/figures/{track}_geometry.png",
            category="{region}",
            labels={"track": "{track}", "figure": "geometry"},
        ),
    log:
        "<results>/{region}/{track}/logs/plot_geometry.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/plot_geometry.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(5, 1),
    params:
        title=title_of,
        code=digest("figures", "downslope"),
    message:
        "{wildcards.region}/{wildcards.track}: figure of the geometry"
    script:
        "../../scripts/plot_geometry.py"


rule plot_velocity:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        velocity="<results>/{region}/{track}/velocity.tif",
        displacement="<results>/{region}/{track}/displacement.zarr",
        corrections="<results>/{region}/{track}/corrections.json",
        reference=branch(
            is_displacement,
            then=[],
            otherwise="<results>/{region}/{track}/reference.json",
        ),
    output:
        velocity=report(
            "<results>/{region}/figures/{track}_velocity.png",
            category="{region}",
            labels={"track": "{track}", "figure": "velocity"},
        ),
        series=report(
            "<results>/{region}/figures/{track}_series.png",
            category="{region}",
            labels={"track": "{track}", "figure": "time series"},
        ),
        corrections=report(
            "<results>/{region}/figures/{track}_corrections.png",
            category="{region}",
            labels={"track": "{track}", "figure": "corrections"},
        ),
    log:
        "<results>/{region}/{track}/logs/plot_velocity.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/plot_velocity.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(5, 1),
    params:
        title=title_of,
        terms=setting("velocity/terms"),
        steps=setting("velocity/steps"),
        code=digest("figures"),
    message:
        "{wildcards.region}/{wildcards.track}: figures of the velocity"
    script:
        "../../scripts/plot_velocity.py"


rule plot_downslope:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        velocity="<results>/{region}/velocity.tif",
    output:
        figure=report(
            "<results>/{region}/figures/downslope.png",
            category="{region}",
            labels={"track": "all", "figure": "downslope velocity"},
        ),
    log:
        "<results>/{region}/logs/plot_downslope.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_downslope.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(5, 1),
    params:
        title=setting("name"),
        code=digest("figures"),
    message:
        "{wildcards.region}: figure of the downslope velocity"
    script:
        "../../scripts/plot_downslope.py"


rule plot_backscatter:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        factors="<results>/{region}/backscatter.zarr",
    output:
        figure=report(
            "<results>/{region}/figures/backscatter.png",
            category="{region}",
            labels={"track": "all", "figure": "backscatter"},
        ),
    log:
        "<results>/{region}/logs/plot_backscatter.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_backscatter.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(5, 1),
    params:
        title=setting("name"),
        code=digest("figures"),
    message:
        "{wildcards.region}: figure of the backscatter"
    script:
        "../../scripts/plot_backscatter.py"
