from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dialer", "0006_counts_by_agent_kept")]

    operations = [
        migrations.AddField("dialsession", "own_call_held_until", models.DateTimeField(editable=False, null=True)),
        migrations.AddField("dialsession", "own_answered_at", models.DateTimeField(editable=False, null=True)),
    ]
