"""A third ledger of calls: whoever called."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dialer', '0004_recordings_and_callbacks'),
        ('tenancy', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AgentCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('agent_id', models.BigIntegerField(null=True)),
                ('result', models.CharField(choices=[('completed', 'Spoke with them'), ('callback', 'Call back'), ('not_interested', 'Not interested'), ('hung_up', 'Hung up'), ('voicemail', 'Voicemail'), ('no_answer', 'No answer'), ('busy', 'Busy'), ('wrong_number', 'Wrong number'), ('do_not_call', 'Do not call again'), ('failed', 'Failed'), ('abandoned', 'Nobody was free'), ('not_placed', 'Not placed')], max_length=14)),
                ('calls', models.BigIntegerField()),
                ('seconds', models.BigIntegerField()),
                ('is_folded', models.BooleanField(default=False)),
            ],
        ),
        migrations.AddIndex(
            model_name='callcount',
            index=models.Index(fields=['tenant', 'user_id', 'day'], include=('agent_id', 'result', 'calls', 'seconds'), name='dialer_count_user'),
        ),
        migrations.AddField(
            model_name='agentcount',
            name='tenant',
            field=models.ForeignKey(db_index=False, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.tenant'),
        ),
        migrations.AddIndex(
            model_name='agentcount',
            index=models.Index(fields=['tenant', 'day'], include=('agent_id', 'result', 'calls', 'seconds'), name='dialer_agents_day'),
        ),
        migrations.AddIndex(
            model_name='agentcount',
            index=models.Index(condition=models.Q(('is_folded', False)), fields=['tenant', 'day', 'id'], name='dialer_agents_new'),
        ),
    ]
