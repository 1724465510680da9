from django.db import migrations, models


def first(apps, schema_editor):
    apps.get_model("shop", "Item").objects.create(name="first")


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Item", [("id", models.BigAutoField(primary_key=True, serialize=False)), ("name", models.CharField(max_length=50))]
        ),
        migrations.RunPython(first),
    ]
