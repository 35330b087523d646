"""From factors and reference inventories to models, and from models to maps of probability.

A model is a file like any source: once it is there, nothing makes it anew but ``retrain``.
"""


rule label_objects:
    input:
        grid="<results>/{region}/grid.json",
        labels=label_files,
    output:
        labels="<results>/{region}/labels.gpkg",
    log:
        "<results>/{region}/logs/label_objects.log",
    benchmark:
        "<results>/{region}/benchmarks/label_objects.tsv"
    conda:
        "../../envs/fusion.yaml"
    resources:
        mem_mb=megabytes(800, 0),
        runtime=minutes(5, 0),
    params:
        labels=setting("labels"),
        code=digest("fusion.labels"),
    message:
        "{wildcards.region}: labelled objects"
    script:
        "../../scripts/label_objects.py"


rule sample_ground:
    input:
        grid="<results>/{region}/grid.json",
        labels="<results>/{region}/labels.gpkg",
        relief="<results>/{region}/relief.zarr",
        factors="<results>/{region}/factors.zarr",
    output:
        samples=directory("<results>/{region}/samples.zarr"),
    log:
        "<results>/{region}/logs/sample_ground.log",
    benchmark:
        "<results>/{region}/benchmarks/sample_ground.tsv"
    conda:
        "../../envs/fusion.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(1500, 5),
        runtime=minutes(10, 1),
    params:
        sampling=setting("sampling"),
        code=digest("fusion.labels"),
    message:
        "{wildcards.region}: samples of labelled ground"
    script:
        "../../scripts/sample_ground.py"


rule train_model:
    input:
        samples=samples_of_model,
        held_out=mapped_by_model("held_out.tif"),
        evaluations=mapped_by_model("evaluation.json"),
        labels=mapped_by_model("labels.gpkg"),
        grids=mapped_by_model("grid.json"),
    output:
        model="<results>/models/{model}.skops",
        fates=report(
            "<results>/models/{model}_factors.csv",
            category="models",
            labels={"track": "{model}", "figure": "fate of each factor, and why"},
        ),
    log:
        "<results>/models/logs/train_model_{model}.log",
    benchmark:
        "<results>/models/benchmarks/train_model_{model}.tsv"
    wildcard_constraints:
        model=models_to_train(),
    conda:
        "../../envs/fusion.yaml"
    resources:
        mem_mb=megabytes(2000, 0),
        runtime=minutes(60, 0),
    params:
        how=how_to_train,
        code=digest("fusion.objects", "fusion.training"),
    message:
        "model {wildcards.model}: training"
    script:
        "../../scripts/train_model.py"


rule validate_model:
    input:
        grid="<results>/{region}/grid.json",
        labels="<results>/{region}/labels.gpkg",
        relief="<results>/{region}/relief.zarr",
        factors="<results>/{region}/factors.zarr",
        samples=lambda w: samples_of_model(model_job(w)),
    output:
        held_out="<results>/{region}/held_out.tif",
        evaluation="<results>/{region}/evaluation.json",
        table="<results>/{region}/accuracy.csv",
    log:
        "<results>/{region}/logs/validate_model.log",
    benchmark:
        "<results>/{region}/benchmarks/validate_model.tsv"
    wildcard_constraints:
        region=only_regions(trains_its_model),
    conda:
        "../../envs/fusion.yaml"
    resources:
        mem_mb=megabytes(2500, 5),
        runtime=minutes(120, 0),
    params:
        how=lambda w: how_to_train(model_job(w)),
        unknown_m=setting("sampling/object_buffer_m"),
        code=digest("fusion.validation"),
    message:
        "{wildcards.region}: accuracy on held-out ground"
    script:
        "../../scripts/validate_model.py"


rule map_probability:
    input:
        grid="<results>/{region}/grid.json",
        factors="<results>/{region}/factors.zarr",
        model=model_of_region,
    output:
        probability="<results>/{region}/probability.tif",
        classes="<results>/{region}/classes.tif",
    log:
        "<results>/{region}/logs/map_probability.log",
    benchmark:
        "<results>/{region}/benchmarks/map_probability.tsv"
    group:
        "products"
    conda:
        "../../envs/fusion.yaml"
    resources:
        mem_mb=megabytes(2500, 5),
        runtime=minutes(20, 1),
    params:
        code=digest("fusion.mapping", "bands"),
    message:
        "{wildcards.region}: probability of rock glaciers"
    script:
        "../../scripts/map_probability.py"


rule score_map:
    input:
        grid="<results>/{region}/grid.json",
        labels="<results>/{region}/labels.gpkg",
        relief="<results>/{region}/relief.zarr",
        probability="<results>/{region}/probability.tif",
        classes="<results>/{region}/classes.tif",
        model=model_of_region,
    output:
        evaluation="<results>/{region}/evaluation.json",
        table="<results>/{region}/accuracy.csv",
    log:
        "<results>/{region}/logs/score_map.log",
    benchmark:
        "<results>/{region}/benchmarks/score_map.tsv"
    wildcard_constraints:
        region=only_regions(is_judged_alone),
    conda:
        "../../envs/fusion.yaml"
    resources:
        mem_mb=megabytes(2500, 5),
        runtime=minutes(20, 1),
    params:
        unknown_m=setting("sampling/object_buffer_m"),
        code=digest("fusion.validation"),
    message:
        "{wildcards.region}: accuracy of the map by a model of other regions"
    script:
        "../../scripts/score_map.py"


rule plot_probability:
    input:
        grid="<results>/{region}/grid.json",
        probability="<results>/{region}/probability.tif",
        classes="<results>/{region}/classes.tif",
        dem="<results>/{region}/dem.tif",
        labels=region_product("labels.gpkg", "labels"),
    output:
        figure=report(
            "<results>/{region}/figures/probability.png",
            category="{region}",
            labels={"track": "all", "figure": "probability"},
        ),
    log:
        "<results>/{region}/logs/plot_probability.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_probability.tsv"
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
        "{wildcards.region}: figure of the probability"
    script:
        "../../scripts/plot_probability.py"


rule plot_reliability:
    input:
        evaluation="<results>/{region}/evaluation.json",
    output:
        figure=report(
            "<results>/{region}/figures/reliability.png",
            category="{region}",
            labels={"track": "all", "figure": "reliability of probabilities"},
        ),
    log:
        "<results>/{region}/logs/plot_reliability.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_reliability.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0),
    params:
        title=setting("name"),
        code=digest("evaluation", "figures"),
    message:
        "{wildcards.region}: figure of the reliability of probabilities"
    script:
        "../../scripts/plot_reliability.py"
