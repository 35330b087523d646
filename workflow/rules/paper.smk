"""Figures, accuracy table and frozen manifest of a paper: `snakemake paper_figures`."""


rule plot_inventory:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        probability="<results>/{region}/probability.tif",
        inventory="<results>/{region}/inventory.gpkg",
        evaluation="<results>/{region}/evaluation.json",
    output:
        pdf="<results>/{region}/paper/figure_1.pdf",
        png=report(
            "<results>/{region}/paper/figure_1.png",
            category="{region}",
            labels={"track": "all", "figure": "1: probability, objects, accuracy"},
        ),
    log:
        "<results>/{region}/logs/plot_inventory.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_inventory.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 0),
        runtime=minutes(5, 0),
    params:
        title=setting("name"),
        code=digest("plates"),
    message:
        "{wildcards.region}: figure of probability, objects and accuracy"
    script:
        "../../scripts/plot_inventory.py"


rule plot_examples:
    input:
        grid="<results>/{region}/grid.json",
        dem="<results>/{region}/dem.tif",
        velocity="<results>/{region}/velocity.tif",
        factors="<results>/{region}/factors.zarr",
        probability="<results>/{region}/probability.tif",
        classes="<results>/{region}/classes.tif",
        inventory="<results>/{region}/inventory.gpkg",
        labels="<results>/{region}/labels.gpkg",
        glaciers=file_setting("glaciers"),
    output:
        pdf="<results>/{region}/paper/figure_2.pdf",
        png=report(
            "<results>/{region}/paper/figure_2.png",
            category="{region}",
            labels={"track": "all", "figure": "2: typical glaciers by technique"},
        ),
    log:
        "<results>/{region}/logs/plot_examples.log",
    benchmark:
        "<results>/{region}/benchmarks/plot_examples.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(5, 0),
    params:
        title=setting("name"),
        code=digest("plates"),
    message:
        "{wildcards.region}: figure of typical glaciers by technique"
    script:
        "../../scripts/plot_examples.py"


rule tabulate_accuracy:
    input:
        evaluations=of_paper("evaluation.json"),
        inventories=of_paper("inventory.gpkg"),
    output:
        table="<results>/paper/accuracy.csv",
        latex="<results>/paper/accuracy.tex",
    log:
        "<results>/paper/logs/tabulate_accuracy.log",
    benchmark:
        "<results>/paper/benchmarks/tabulate_accuracy.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0),
    params:
        names=lambda w: [REGIONS[region]["name"] for region in paper_regions()],
        code=digest("accuracy"),
    message:
        "table of the accuracy of {params.names}"
    script:
        "../../scripts/tabulate_accuracy.py"


rule freeze_manifest:
    input:
        figures=of_paper("paper/figure_1.pdf", "paper/figure_2.pdf"),
        tables=tables_of_paper,
        models=lambda w: [model_file(model) for model in frozen_models()],
    output:
        manifest="<results>/paper/manifest.json",
    log:
        "<results>/paper/logs/freeze_manifest.log",
    benchmark:
        "<results>/paper/benchmarks/freeze_manifest.tsv"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(60, 0),
    params:
        told=lambda w: paper_origins(),
        tables=lambda w: scene_tables_by_region(),
        frozen=config.get("manifest"),
        files=lambda w: frozen_state(),
        code=digest("manifest", "io"),
    message:
        "manifest of scenes, orbits, checksums, locks and configuration"
    script:
        "../../scripts/freeze_manifest.py"


rule paper_figures:
    input:
        figures=of_paper(*[f"paper/figure_{k}.{kind}" for k in (1, 2) for kind in ("pdf", "png")]),
        table="<results>/paper/accuracy.csv",
        latex="<results>/paper/accuracy.tex",
        manifest="<results>/paper/manifest.json",
    localrule: True
    message:
        "the figures, the table and the manifest are there"
