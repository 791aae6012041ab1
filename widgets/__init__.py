"""Custom JupyterLab widgets: one .py, .js and .css side by side each (anywidget ES modules, no build step)."""
